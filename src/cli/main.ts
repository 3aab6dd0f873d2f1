/**
 * The entry point of the command line: signals, arguments, exit status.
 *
 * @module
 */
import { CommanderError } from "commander";
import { EsgzError } from "../errors/index.ts";
import { describeFailure } from "./command-context.ts";
import { processEnvironment } from "./environment.ts";
import { EXIT_STATUS, exitStatusOf } from "./exit-status.ts";
import { createProgram } from "./program.ts";

const interruption = new AbortController();
const environment = processEnvironment(interruption.signal);

for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.on(name, () => {
    // The first signal lets the work clean up, the second does not wait for it.
    if (interruption.signal.aborted) process.exit(EXIT_STATUS.interrupted);
    interruption.abort(new EsgzError("ABORTED", `Cannot finish: interrupted by ${name}`));
  });
}
// A reader that went away (`esgz ls ... | head`) is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? EXIT_STATUS.success : EXIT_STATUS.failure);
});

try {
  await createProgram(environment).parseAsync(process.argv);
} catch (error) {
  process.exitCode = fail(error);
}

function fail(error: unknown): number {
  // commander has said it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_STATUS.success : EXIT_STATUS.usage;
  const reason = interruption.signal.aborted ? interruption.signal.reason : error;
  environment.stderr.write(`esgz: ${describeFailure(reason)}\n`);
  if (environment.variables["ESGZ_DEBUG"] !== undefined) environment.stderr.write(`${stackOf(error)}\n`);
  return exitStatusOf(reason);
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
