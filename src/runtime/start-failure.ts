/**
 * Telling a container that ended from one that never ran.
 *
 * @module
 */
import type { EsgzError } from "../errors/index.ts";
import type { ContainerDirectory } from "./container-directory.ts";
import type { ContainerExit } from "./container-process.ts";
import { START_STATUS, startError } from "./runtime-error.ts";

/** How runc and crun say that a program is missing, and that it cannot be run. */
const NOT_FOUND = /(exec: ".*"|executable file|open executable|stat ).*(not found|no such file)/i;
const NOT_EXECUTABLE =
  /exec: ".*(permission denied|is a directory|not a directory)|open executable|exec format error/i;
const WORDS_LIMIT = 2000;

/** The error of a container that did not start; undefined if it did. */
export async function findStartFailure(
  directory: ContainerDirectory,
  exit: ContainerExit,
): Promise<EsgzError | undefined> {
  if ((await directory.containerPid()) !== undefined) return undefined;
  const logged = lastLogged(await directory.read(directory.log));
  if (logged !== undefined) return startError(logged, { status: statusOf(logged), shown: true });
  const words = (await directory.read(directory.words)).trim();
  if (words !== "") return startError(words.slice(-WORDS_LIMIT).replaceAll("\n", "; "));
  // Somebody stopped it before it ran.
  if (exit.signal !== undefined) return undefined;
  return startError(`exit status ${exit.exitStatus} before it ran`, { shown: true });
}

/** The last error of a log of JSON lines. */
function lastLogged(log: string): string | undefined {
  return log
    .split("\n")
    .flatMap((line) => {
      try {
        const entry: unknown = JSON.parse(line);
        if (typeof entry !== "object" || entry === null || !("msg" in entry)) return [];
        const failed = "level" in entry && (entry.level === "error" || entry.level === "fatal");
        return failed && typeof entry.msg === "string" ? [entry.msg.slice(0, WORDS_LIMIT)] : [];
      } catch {
        return [];
      }
    })
    .at(-1);
}

function statusOf(words: string): number {
  if (NOT_FOUND.test(words)) return START_STATUS.notFound;
  return NOT_EXECUTABLE.test(words) ? START_STATUS.notExecutable : START_STATUS.failed;
}
