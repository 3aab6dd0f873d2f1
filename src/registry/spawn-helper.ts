/**
 * Running credential helper programs.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { systemClock, type Clock } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { HelperCall, HelperResult, RunHelper } from "./credential-helper.ts";

/** How helpers are run. */
export interface SpawnHelperOptions {
  /** The helper's environment: `PATH`, `HOME` and what it needs to find its own settings. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Default 60 s: some helpers ask the user, or a cloud. */
  readonly timeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const MAX_OUTPUT = 256 << 10;

/**
 * A {@link RunHelper} that starts the program found in `PATH`. It is killed when the time is over, the signal comes, or it
 * prints too much. Its stderr is dropped.
 */
export function createHelperRunner(options: SpawnHelperOptions): RunHelper {
  return async (call) => {
    const clock = options.clock ?? systemClock;
    const over = new AbortController();
    const stop = new AbortController();
    const deadline = clock.sleep(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, { signal: over.signal }).then(
      () => stop.abort(helperError(call, "an answer", "none in time", "TIMED_OUT")),
      () => undefined,
    );
    const signals = call.signal === undefined ? [stop.signal] : [stop.signal, call.signal];
    try {
      return await run(call, options.env, AbortSignal.any(signals));
    } finally {
      over.abort();
      await deadline;
    }
  };
}

function run(call: HelperCall, env: SpawnHelperOptions["env"], signal: AbortSignal): Promise<HelperResult> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const child = spawn(call.program, [call.action], { env: { ...env }, stdio: ["pipe", "pipe", "ignore"] });
    const parts: Buffer[] = [];
    let size = 0;
    const fail = (error: unknown): void => {
      child.kill("SIGKILL");
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (part: Buffer) => {
      size += part.length;
      if (size > MAX_OUTPUT) fail(helperError(call, `at most ${MAX_OUTPUT} bytes`, "more", "LIMIT_EXCEEDED"));
      else parts.push(part);
    });
    child.on("error", (cause) => {
      signal.removeEventListener("abort", onAbort);
      reject(helperError(call, "a program in PATH", messageOf(cause), "CREDENTIALS_INVALID"));
    });
    child.on("close", (exitCode) => {
      signal.removeEventListener("abort", onAbort);
      resolve({ exitCode: exitCode ?? -1, stdout: Buffer.concat(parts).toString("utf8") });
    });
    // A helper that ends without reading closes the pipe; its exit status says the rest.
    child.stdin.on("error", () => undefined);
    child.stdin.end(call.input);
  });
}

function helperError(
  call: HelperCall,
  expected: string,
  found: string,
  code: "TIMED_OUT" | "LIMIT_EXCEEDED" | "CREDENTIALS_INVALID",
): EsgzError {
  return new EsgzError(
    code,
    `Cannot ${call.action} credential with helper "${call.program}": expected ${expected}, got ${found}`,
    { details: { retryable: false } },
  );
}
