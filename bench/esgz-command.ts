/**
 * How the benchmarks start esgz: as users do, compiled, a new process a run.
 *
 * @module
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
let entry = join(CHECKOUT, "bin/esgz.js");

/**
 * Compiles what is checked out into `CACHE/package`, which the commands below are of from now on: what runs from TypeScript
 * starts later and takes some 30 MiB more a process, and what changes meanwhile does not change a series.
 */
export function compileEsgz(cache: string, say: (text: string) => void): void {
  const directory = join(cache, "package");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const tsc = join(CHECKOUT, "node_modules/.bin/tsc");
  const flags = ["-p", join(CHECKOUT, "tsconfig.build.json"), "--outDir", join(directory, "dist")];
  const { status } = spawnSync(process.execPath, [tsc, ...flags], { stdio: ["ignore", 2, 2] });
  if (!existsSync(join(directory, "dist/cli/main.js"))) throw new Error("Cannot compile esgz");
  if (status !== 0) say("esgz was compiled with errors");
  for (const name of ["bin", "package.json"])
    cpSync(join(CHECKOUT, name), join(directory, name), { recursive: true });
  symlinkSync(join(CHECKOUT, "node_modules"), join(directory, "node_modules"));
  useEsgz(directory);
}

/** The commands below are of the package in this directory from now on. */
export function useEsgz(directory: string): void {
  entry = join(directory, "bin/esgz.js");
}

/** The argument vector of `esgz ARGS`. */
export function esgzCommand(...args: readonly string[]): string[] {
  return [process.execPath, entry, ...args];
}

/** Runs `esgz ARGS` outside any measurement. */
export function runEsgz(...args: readonly string[]): void {
  execFileSync(process.execPath, [entry, ...args], { stdio: ["ignore", "ignore", "inherit"] });
}
