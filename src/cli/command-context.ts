/**
 * What a command gets: the environment, and how to print.
 *
 * @module
 */
import type { Command } from "commander";
import { type Environment, screenSize, writeOut } from "./environment.ts";
import { ProgressBoard } from "./progress-board.ts";

/** Prints results to stdout and progress to stderr. */
export class CommandContext {
  readonly environment: Environment;
  /** Whether the result is wanted as JSON. */
  readonly json: boolean;
  readonly quiet: boolean;

  constructor(environment: Environment, flags: { readonly json?: boolean; readonly quiet?: boolean }) {
    this.environment = environment;
    this.json = flags.json === true;
    this.quiet = flags.quiet === true;
  }

  /** Prints the result: the value as JSON, or the text that people read. */
  async print(value: unknown, text: string): Promise<void> {
    await writeOut(this.environment, this.json ? `${JSON.stringify(value, undefined, 2)}\n` : text);
  }

  /** Says something that is not the result. */
  note(text: string): void {
    if (!this.quiet) this.environment.stderr.write(`${text}\n`);
  }

  /** A board for progress on stderr; silent with `--quiet` or `--json`. */
  board(): ProgressBoard {
    const { stderr, liveProgress } = this.environment;
    const silent = this.quiet || this.json;
    return new ProgressBoard({
      write: (text) => void (silent || stderr.write(text)),
      live: liveProgress && !silent,
      ...screenSize(stderr),
      nowMs: () => performance.now(),
    });
  }
}

/** Options that every command has. */
export interface SharedFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
}

/** Adds the options that every command has. */
export function addSharedFlags(command: Command): Command {
  return command
    .option("--json", "print the result as JSON on stdout")
    .option("-q, --quiet", "no progress on stderr");
}
