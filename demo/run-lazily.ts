/**
 * The image's command through `esgz run`: started before the image is here.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { join, resolve } from "node:path";
import { MACHINE_IMAGE_COMMAND } from "./machine-image.ts";

const ENTRY = resolve(import.meta.dirname, "../bin/esgz.js");

/** A daemon of the demo's own. Disposing ends it with all that it mounted. */
export interface DemoDaemon extends AsyncDisposable {
  /** Runs the image's command; the seconds to its first output, and what it printed. */
  run(image: string): Promise<{ readonly seconds: number; readonly output: string }>;
}

/** Starts a daemon whose store is empty, below `directory`. It is there a moment later; where that fails, its runs do. */
export function startDemoDaemon(directory: string): DemoDaemon {
  const store = join(directory, "store");
  // One that nobody stops ends by itself.
  const child = spawn(process.execPath, [ENTRY, "daemon", "--idle-timeout", "600", "--store", store], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const ended = new Promise((resolve_) => child.once("close", resolve_).once("error", resolve_));
  return {
    run: async (image) => {
      // `esgz run` starts another one where this one has ended.
      if (child.exitCode !== null && child.exitCode !== 0)
        throw new Error(`Cannot start daemon: ${complaint.trim()}`);
      return await runImage(store, image);
    },
    [Symbol.asyncDispose]: async () => {
      spawnSync(process.execPath, [ENTRY, "daemon", "--stop", "--force", "--store", store]);
      if (child.exitCode === null) child.kill("SIGTERM");
      await ended;
    },
  };
}

async function runImage(store: string, image: string): Promise<{ seconds: number; output: string }> {
  const flags = ["--rm", "-q", "--no-background", "--network", "none", "--store", store];
  const started = performance.now();
  const child = spawn(process.execPath, [ENTRY, "run", ...flags, image, ...MACHINE_IMAGE_COMMAND], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let seconds: number | undefined;
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    seconds ??= (performance.now() - started) / 1000;
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const status = await new Promise((resolve_, reject) => child.once("close", resolve_).once("error", reject));
  if (status !== 0 || seconds === undefined) throw new Error(complaint.trim());
  return { seconds, output };
}
