/**
 * All that a command may know of the process around it. Made once by the entry point, passed to every command.
 *
 * @module
 */
import { homedir, tmpdir } from "node:os";

/** The process as commands see it. */
export interface Environment {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly home: string;
  readonly temporaryDirectory: string;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  /** Who runs it. */
  readonly uid: number;
  readonly gid: number;
  /** Whether progress may move the cursor. */
  readonly liveProgress: boolean;
  /**
   * Until it is disposed of, SIGINT, SIGTERM and SIGHUP do not abort {@link Environment.signal}: for what handles
   * signals by itself.
   */
  readonly leaveSignals: () => Disposable;
  /** Ends this process with another status than its success or failure has. */
  readonly setExitStatus: (status: number) => void;
}

/** What only the entry point can do. */
export type ProcessControl = Pick<Environment, "leaveSignals" | "setExitStatus">;

const NO_CONTROL: ProcessControl = {
  leaveSignals: () => ({ [Symbol.dispose]: () => undefined }),
  setExitStatus: () => undefined,
};

/** The environment of this process. */
export function processEnvironment(signal: AbortSignal, control: ProcessControl = NO_CONTROL): Environment {
  const variables = process.env;
  return {
    ...control,
    variables,
    home: homeDirectory(),
    temporaryDirectory: tmpdir(),
    signal,
    // Opened when somebody reads.
    get stdin() {
      return process.stdin;
    },
    stdout: process.stdout,
    stderr: process.stderr,
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    liveProgress:
      process.stderr.isTTY === true && variables["TERM"] !== "dumb" && variables["CI"] === undefined,
  };
}

/** The user's home; the root directory for a user of whom the system knows none, as in many containers. */
export function homeDirectory(): string {
  try {
    return homedir() || "/";
  } catch {
    return "/";
  }
}

/** How much a terminal shows; some do not say, or say that it is nothing. */
export function screenSize({ columns, rows }: NodeJS.WriteStream): { columns: number; rows: number } {
  return { columns: columns > 0 ? columns : 100, rows: rows > 0 ? rows : 24 };
}

/**
 * Writes to stdout and waits until it can take more.
 *
 * @throws the signal's reason on abort: a reader that does not read must not keep the command from ending.
 */
export async function writeOut(
  { stdout, signal }: Pick<Environment, "stdout" | "signal">,
  chunk: string | Uint8Array,
): Promise<void> {
  signal.throwIfAborted();
  const waiting = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error), { signal: waiting.signal });
      // Called for a stream that has failed before, too, which emits nothing any more.
      const hasRoom = stdout.write(chunk, (error) => (error instanceof Error ? reject(error) : resolve()));
      if (hasRoom) resolve();
    });
  } finally {
    waiting.abort();
  }
}
