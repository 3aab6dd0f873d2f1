/**
 * How the benchmarks start esgz: as users do, a new process a run.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ENTRY = fileURLToPath(new URL("../bin/esgz.js", import.meta.url));

/** The argument vector of `esgz ARGS`. */
export function esgzCommand(...args: readonly string[]): string[] {
  return [process.execPath, ENTRY, ...args];
}

/** Runs `esgz ARGS` outside any measurement. */
export function runEsgz(...args: readonly string[]): void {
  execFileSync(process.execPath, [ENTRY, ...args], { stdio: ["ignore", "ignore", "inherit"] });
}
