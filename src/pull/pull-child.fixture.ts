/**
 * For tests: a program that pulls, and that may kill itself with SIGKILL in the middle.
 *
 *     node pull-child.fixture.ts IMAGE TARGET [FRACTION]
 *
 * Prints the report as JSON.
 *
 * @module
 */
import { openImageSource } from "../image/index.ts";
import { RegistryClient } from "../registry/index.ts";
import { parsePullTarget, pullImage } from "./index.ts";

const [, , name = "", target = "", fraction] = process.argv;
await using registry = new RegistryClient();
await using source = await openImageSource(name, { registry });
const report = await pullImage(source, parsePullTarget(target), {
  platform: { os: "linux", architecture: "amd64" },
  tuning: { rangeSize: 1 << 20, connections: 2, bytesInFlight: 4 << 20 },
  // A clock that stands far apart at every look, so that every piece of progress is told.
  clock: { nowMs: fastClock(), wallMs: () => 0, sleep: forever },
  onProgress: (event) => {
    const kill = fraction !== undefined && event.kind === "progress" && event.fraction >= Number(fraction);
    if (kill && event.fraction < 1) process.kill(process.pid, "SIGKILL");
  },
});
process.stdout.write(JSON.stringify(report));

function fastClock(): () => number {
  let nowMs = 0;
  return () => (nowMs += 1000);
}

function forever(_ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
  return new Promise((_resolve, reject) => {
    if (signal?.aborted === true) reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
