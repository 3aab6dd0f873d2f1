/**
 * `npm run bench -- lazy-idle`: what a daemon takes of the memory that shows 100 layers of 50,000 files, holder and server
 * together, when nobody asks it for anything.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { fillIdleStore, IDLE_STORE_LAYERS } from "../../test/soak/idle-store.ts";
import type { BenchContext } from "../bench-context.ts";
import { type EsgzDaemon, startEsgzDaemon } from "../esgz-daemon.ts";
import { compare, type Comparison, type Contender, type Outcome } from "../measure/index.ts";
import { peakOfTree, proportionalOfTree, residentOfTree } from "../process-memory.ts";
import { type Scratch, withScratch } from "../scratch.ts";

/** Longer than it takes until an idle daemon gives back memory. */
const SETTLE_MS = 40_000;
const MIB = 2 ** 20;

/** Measures it after the mounts were made, and after another server took over. The seconds are those of the mounts. */
export async function benchIdle(context: BenchContext): Promise<Comparison> {
  const title = `idle with ${IDLE_STORE_LAYERS} layers of 50,000 files mounted`;
  const contenders = [
    idleContender("esgz daemon, after mounting", async () => undefined),
    idleContender("esgz daemon, after another server took over", killServer),
  ];
  return { title, standings: await compare(contenders, context.compareOptions(title)) };
}

function idleContender(name: string, disturb: (daemon: EsgzDaemon) => Promise<void>): Contender {
  return { name, run: () => withScratch((scratch) => idleRun(scratch, disturb)) };
}

async function idleRun(scratch: Scratch, disturb: (daemon: EsgzDaemon) => Promise<void>): Promise<Outcome> {
  const references = await fillIdleStore(`${scratch.directory}/store`);
  const daemon = await startEsgzDaemon(scratch);
  const started = performance.now();
  for (const reference of references)
    await daemon.client.mount({ reference, resolve: "missing", background: false, prefetch: false });
  const wallSeconds = (performance.now() - started) / 1000;
  await disturb(daemon);
  await delay(SETTLE_MS);
  const pid = daemon.process.pid ?? 0;
  const facts = {
    "resident MiB": Math.round((residentOfTree(pid) / MIB) * 10) / 10,
    "proportional MiB": Math.round((proportionalOfTree(pid) / MIB) * 10) / 10,
  };
  return { wallSeconds, cpuSeconds: Number.NaN, peakBytes: peakOfTree(pid), facts };
}

async function killServer({ client }: EsgzDaemon): Promise<void> {
  process.kill((await client.info()).pid, "SIGKILL");
  // Answered by the next one.
  await client.info();
}
