/**
 * The program: its commands, its help, its version.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import type { CommandEntry } from "./command-table.ts";
import type { Environment } from "./environment.ts";
import { addStoreFlag } from "./store-location.ts";

const VERSION_FLAGS = ["-V", "--version"];
const EPILOGUE = `
Image names: REGISTRY/REPOSITORY[:TAG][@DIGEST] (docker.io where no registry is named), oci:DIR[:TAG],
docker-archive:FILE[:REF], dir:DIR.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 access denied, 5 content does not verify,
6 registry or daemon unreachable, 7 not supported, 8 disk trouble, 130 interrupted. What failed is said on stderr; with --json
as one line, {"error":{"code":...,"message":...,"status":...}}.`;

/**
 * The program. Given the words of a command line, it has the commands that they may mean: the one that comes first in them,
 * or all.
 */
export async function createProgram(
  environment: Environment,
  words: readonly string[] = [],
): Promise<Command> {
  const program = addStoreFlag(new Command("esgz"))
    .description("Make, serve, pull, mount and run eStargz container images")
    // What follows the image of `run` is not ours.
    .enablePositionalOptions()
    .version(packageVersion(), VERSION_FLAGS.join(", "))
    .addHelpText("after", EPILOGUE)
    .showSuggestionAfterError()
    // The entry point says what is wrong, in one way for all failures.
    .configureOutput({ outputError: () => undefined })
    .exitOverride();
  for (const [, register] of await commandsOf(words)) register(program, environment);
  for (const command of program.commands) command.exitOverride();
  return program;
}

async function commandsOf([first = ""]: readonly string[]): Promise<readonly CommandEntry[]> {
  if (VERSION_FLAGS.includes(first)) return [];
  const { COMMANDS } = await import("./command-table.ts");
  const named = COMMANDS.filter(([names]) => names.includes(first));
  return named.length === 0 ? COMMANDS : named;
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
