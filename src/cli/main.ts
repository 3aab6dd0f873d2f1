/**
 * The entry point of the command line: signals, arguments, exit status.
 *
 * @module
 */
import { CommanderError } from "commander";
import { EsgzError, firstErrorOf, isEsgzError, systemCodeOf } from "../errors/index.ts";
import { describeFailure, encodeFailure } from "./describe-failure.ts";
import { processEnvironment } from "./environment.ts";
import { EXIT_STATUS, exitStatusOf } from "./exit-status.ts";
import { createProgram } from "./program.ts";

/** One Ctrl-C may arrive twice: from the terminal, and from the process that started this one. */
const SAME_SIGNAL_MS = 500;

const interruption = new AbortController();
const environment = processEnvironment(interruption.signal, { leaveSignals, setExitStatus });
const readerLeft = new EsgzError("ABORTED", "Cannot print: the reader has left");
let interruptedMs = Infinity;
let signalsAreLeft = false;
let exitStatus: number | undefined;

for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    if (signalsAreLeft) return;
    // The first signal lets the work clean up, the second does not wait for it.
    if (performance.now() - interruptedMs > SAME_SIGNAL_MS) process.exit(EXIT_STATUS.interrupted);
    interruptedMs = Math.min(interruptedMs, performance.now());
    interruption.abort(new EsgzError("ABORTED", `Cannot finish: interrupted by ${name}`));
  });
}
// A reader that went away (`esgz ls ... | head`) is no failure of ours; the work still cleans up.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  interruption.abort(error.code === "EPIPE" ? readerLeft : unwritable(error));
});
process.stderr.on("error", () => undefined);

try {
  const program = await createProgram(environment, process.argv.slice(2));
  await program.parseAsync(process.argv);
  process.exitCode = statusOfOutput();
} catch (error) {
  process.exitCode = fail(error);
}
// What waits for a reader that does not read would keep the process.
if (interruption.signal.aborted) environment.stderr.write("", () => process.exit());

function leaveSignals(): Disposable {
  signalsAreLeft = true;
  return { [Symbol.dispose]: () => void (signalsAreLeft = false) };
}

function setExitStatus(status: number): void {
  exitStatus = status;
}

function fail(error: unknown): number {
  if (error instanceof CommanderError) return failUsage(error);
  const reason = reasonOf(error);
  if (reason === readerLeft) return EXIT_STATUS.success;
  say(reason);
  if (environment.variables["ESGZ_DEBUG"] !== undefined) environment.stderr.write(`${stackOf(error)}\n`);
  return exitStatus ?? exitStatusOf(reason);
}

function failUsage({ code, exitCode, message }: CommanderError): number {
  if (exitCode === 0) return EXIT_STATUS.success;
  // Help that nobody asked for by name has been printed already.
  if (code !== "commander.help") {
    say(new EsgzError("USAGE_INVALID", message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ")));
  }
  return EXIT_STATUS.usage;
}

/** Why the work ended: the interruption, where the error is only its echo. */
function reasonOf(thrown: unknown): unknown {
  const { signal } = interruption;
  const error = firstErrorOf(thrown);
  const isReport = isEsgzError(error) && error.code !== "ABORTED";
  return signal.aborted && !(signal.reason === readerLeft && isReport) ? signal.reason : error;
}

/** A result that could not be written is a failure, be the work done. */
function statusOfOutput(): number {
  const reason: unknown = interruption.signal.aborted ? interruption.signal.reason : undefined;
  return isEsgzError(reason, "IO_FAILED") ? fail(reason) : (exitStatus ?? EXIT_STATUS.success);
}

function say(reason: unknown): void {
  const separator = process.argv.indexOf("--");
  const options = separator === -1 ? process.argv : process.argv.slice(0, separator);
  const line = options.includes("--json")
    ? encodeFailure(reason, exitStatus)
    : describeFailure(reason, options[2]);
  environment.stderr.write(`${line}\n`);
}

function unwritable(cause: unknown): EsgzError {
  return new EsgzError(
    "IO_FAILED",
    `Cannot write to standard output: ${systemCodeOf(cause) ?? "it failed"}`,
    {
      cause,
    },
  );
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
