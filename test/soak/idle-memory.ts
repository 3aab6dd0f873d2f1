/**
 * What an idle daemon takes that shows 100 layers of 50,000 files: at most 100 MiB, holder and server together.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { DaemonClient } from "../../src/daemon/index.ts";
import { daemonModule } from "./daemon-module.ts";
import { fillIdleStore, IDLE_STORE_LAYERS } from "./idle-store.ts";
import { temporaryDaemonStore } from "../kernel/daemon-setup.ts";
import { missingFuse } from "../kernel/fuse-mounts.ts";

const LIMIT_BYTES = 100 << 20;
/** Longer than it takes until an idle daemon gives back memory. */
const SETTLE_MS = 40_000;

test("an idle daemon with 100 layers of 50,000 files takes at most 100 MiB", async (t) => {
  const reason = missingFuse();
  if (reason !== undefined) return t.skip(reason);
  const store = await temporaryDaemonStore(t);
  const names = await fillIdleStore(store.root);
  const { connectDaemon } = await daemonModule();
  await using client = await connectDaemon({ store: store.root, start: { idleExitMs: 600_000 } });
  for (const reference of names) {
    await client.mount({ reference, resolve: "missing", background: false, prefetch: false });
  }
  assert.equal(
    (await client.mounts()).reduce((sum, { layers }) => sum + layers.length, 0),
    IDLE_STORE_LAYERS,
  );
  await pause(SETTLE_MS);
  t.diagnostic(`after mounting: ${await describe(client)}`);
  const mounted = await residentBytes(client);
  process.kill((await client.info()).pid, "SIGKILL");
  await client.info();
  await pause(SETTLE_MS);
  t.diagnostic(`after another server took over: ${await describe(client)}`);
  const taken = await residentBytes(client);
  assert.ok(Math.max(mounted, taken) <= LIMIT_BYTES);
});

async function residentBytes(client: DaemonClient): Promise<number> {
  const { pid, holderPid } = await client.info();
  return residentOf(pid) + residentOf(holderPid);
}

async function describe(client: DaemonClient): Promise<string> {
  const { pid, holderPid } = await client.info();
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const one = (of: number): string =>
    `${mib(residentOf(of))} (${mib(proportionalOf(of))} with what is shared divided)`;
  return `server ${one(pid)}, holder ${one(holderPid)}`;
}

/** Resident bytes, where each page counts only in part that other processes have, too. */
function proportionalOf(pid: number): number {
  const text = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1];
  return Number(text) * 1024;
}

function residentOf(pid: number): number {
  const text = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
  return Number(text) * 1024;
}
