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
import { compare, type Comparison, type Outcome } from "../measure/index.ts";
import { peakOfTree, proportionalOfTree, residentOfTree } from "../process-memory.ts";
import { type Scratch, withScratch } from "../scratch.ts";

/** Longer than it takes until an idle daemon gives back memory. */
const SETTLE_MS = 40_000;
const MIB = 2 ** 20;

/** Measures it after the mounts were made, and again after another server took over. The seconds are those of the mounts. */
export async function benchIdle(context: BenchContext): Promise<Comparison> {
  const title = `idle with ${IDLE_STORE_LAYERS} layers of 50,000 files mounted`;
  const contenders = [{ name: "esgz daemon", run: () => withScratch(idleRun) }];
  return { title, standings: await compare(contenders, context.compareOptions(title)) };
}

async function idleRun(scratch: Scratch): Promise<Outcome> {
  const references = await fillIdleStore(`${scratch.directory}/store`);
  const daemon = await startEsgzDaemon(scratch);
  const started = performance.now();
  for (const reference of references)
    await daemon.client.mount({ reference, resolve: "missing", background: false, prefetch: false });
  const wallSeconds = (performance.now() - started) / 1000;
  const pid = daemon.process.pid ?? 0;
  await delay(SETTLE_MS);
  const mounted = { resident: residentOfTree(pid), proportional: proportionalOfTree(pid) };
  const peakBytes = peakOfTree(pid);
  await killServer(daemon);
  await delay(SETTLE_MS);
  const facts = {
    "resident MiB": mounted.resident / MIB,
    "proportional MiB": mounted.proportional / MIB,
    "resident MiB of another server": residentOfTree(pid) / MIB,
  };
  return { wallSeconds, cpuSeconds: Number.NaN, peakBytes, facts };
}

async function killServer({ client }: EsgzDaemon): Promise<void> {
  process.kill((await client.info()).pid, "SIGKILL");
  // Answered by the next one.
  await client.info();
}
