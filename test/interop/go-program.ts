/**
 * For tests: programs in Go, around libraries of others.
 */
import { execFile } from "node:child_process";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** How often the modules of a program are asked for: they come over a network that is none of ours. */
const ATTEMPTS = 5;
const PAUSE_MS = 5000;

/** A program that was built, or why it cannot be. */
export type GoProgram = { readonly path: string } | { readonly missing: string };

/** Builds the program of a directory at a path outside of the checkout; says what is missing where it cannot. */
export async function buildGoProgram(
  directory: string,
  { path, tags = "" }: { readonly path: string; readonly tags?: string },
): Promise<GoProgram> {
  try {
    await run("go", ["version"]);
  } catch {
    return { missing: "go is not installed" };
  }
  const failure = await downloadModules(directory);
  if (failure !== undefined) return { missing: `the modules of ${directory} cannot be fetched: ${failure}` };
  await run("go", ["build", "-mod=readonly", "-tags", tags, "-o", path, "."], { cwd: directory });
  return { path };
}

/** Undefined if they are there. */
async function downloadModules(directory: string): Promise<string | undefined> {
  let failure: string | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    if (attempt > 1) await setTimeout(PAUSE_MS * (attempt - 1));
    try {
      await run("go", ["mod", "download"], { cwd: directory });
      return undefined;
    } catch (error) {
      failure = String(error);
    }
  }
  return failure;
}
