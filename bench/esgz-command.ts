/**
 * How the benchmarks start esgz: as users do, bundled, a new process a run.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const CHECKOUT = fileURLToPath(new URL("..", import.meta.url));
let entry = join(CHECKOUT, "bin/esgz.js");

/**
 * Bundles what is checked out into a directory of `cache` that is named after the sources, which the commands below are of
 * from now on: what runs from TypeScript starts later and takes some 30 MiB more a process, and what changes meanwhile does
 * not change a series.
 */
export function bundleEsgz(cache: string): void {
  const directory = join(cache, `package-${hashOfSources()}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    const program = [join(CHECKOUT, "tooling/bundle.ts"), join(unfinished, "dist/bundle")];
    execFileSync(process.execPath, program, { stdio: ["ignore", 2, 2] });
    for (const name of ["bin", "package.json"])
      cpSync(join(CHECKOUT, name), join(unfinished, name), { recursive: true });
    symlinkSync(join(CHECKOUT, "node_modules"), join(unfinished, "node_modules"));
    renameSync(unfinished, directory);
  }
  useEsgz(directory);
}

function hashOfSources(): string {
  const hash = createHash("sha256");
  const sources = globSync("src/**/*.ts", { cwd: CHECKOUT }).toSorted();
  for (const path of [
    ...sources,
    ...globSync("bin/*.js", { cwd: CHECKOUT }),
    "tooling/bundle.ts",
    "package-lock.json",
  ])
    hash.update(path).update(readFileSync(join(CHECKOUT, path)));
  return hash.digest("hex").slice(0, 12);
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
