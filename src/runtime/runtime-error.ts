/**
 * Why a container did not start.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** The exit statuses of `docker run` for containers that did not start. */
export const START_STATUS = { failed: 125, notExecutable: 126, notFound: 127 } as const;

/**
 * A `RUNTIME_FAILED` error; `details.exitStatus` is what `docker run` would exit with, and `details.shown` whether the
 * runtime has already written its words to the container's stderr.
 */
export function startError(
  found: string,
  options: { readonly status?: number; readonly shown?: boolean; readonly cause?: unknown } = {},
): EsgzError {
  const { status = START_STATUS.failed, shown = false, cause } = options;
  const text = `Cannot start container: expected a running process, got "${found}"`;
  const details = { exitStatus: status, shown };
  return new EsgzError("RUNTIME_FAILED", text, cause === undefined ? { details } : { details, cause });
}
