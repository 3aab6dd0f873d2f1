/**
 * One run of a command as a whole process: wall time, processor time, peak memory.
 *
 * @module
 */
import { spawn } from "node:child_process";

/** What one run took. */
export interface Measurement {
  readonly wallSeconds: number;
  /** User and system time of the command and of all that it waited for. */
  readonly cpuSeconds: number;
  /** Peak resident memory of the largest single process, in bytes. */
  readonly peakBytes: number;
}

/** Reads the children's accounts from the kernel, which node does not expose. */
const WRAPPER = `
import json, os, resource, subprocess, sys, time
start = time.monotonic()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
wall = time.monotonic() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({"status": status, "wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}))
`;

/** Runs a command and measures it; rejects if it fails. */
export async function measureCommand(
  argv: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Measurement> {
  const child = spawn("python3", ["-c", WRAPPER, ...argv], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  const result = JSON.parse(await stdout) as { status: number; wall: number; cpu: number; peak: number };
  if (result.status !== 0)
    throw new Error(`Cannot measure "${argv.join(" ")}": it ended with ${result.status}\n${await stderr}`);
  return { wallSeconds: result.wall, cpuSeconds: result.cpu, peakBytes: result.peak };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString("utf8");
  return text;
}
