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
  /** Whether progress may move the cursor. */
  readonly liveProgress: boolean;
}

/** The environment of this process. */
export function processEnvironment(signal: AbortSignal): Environment {
  const variables = process.env;
  return {
    variables,
    home: variables["HOME"] ?? homedir(),
    temporaryDirectory: variables["TMPDIR"] ?? tmpdir(),
    signal,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    liveProgress:
      process.stderr.isTTY === true && variables["TERM"] !== "dumb" && variables["CI"] === undefined,
  };
}

/** Writes to a stream and waits until it can take more. */
export async function writeTo(stream: NodeJS.WriteStream, chunk: string | Uint8Array): Promise<void> {
  if (stream.write(chunk)) return;
  await new Promise<void>((resolve, reject) => {
    const onDrain = (): void => {
      stream.off("error", onError);
      resolve();
    };
    const onError = (error: Error): void => {
      stream.off("drain", onDrain);
      reject(error);
    };
    stream.once("drain", onDrain);
    stream.once("error", onError);
  });
}
