import { EsgzError, ioCodeOf, messageOf, systemCodeOf } from "../errors/index.ts";

/** The typed error for a file operation that the system refused: `NO_SPACE`, `IMAGE_NOT_FOUND` or `IO_FAILED`. */
export function ioFailure(doing: string, path: string, cause: unknown): EsgzError {
  if (cause instanceof EsgzError) return cause;
  const system = systemCodeOf(cause);
  if (system === "ENOENT" || system === "ENOTDIR") {
    return new EsgzError("IMAGE_NOT_FOUND", `Cannot ${doing} "${path}": it does not exist`, { cause });
  }
  const text = `Cannot ${doing} "${path}": ${system ?? messageOf(cause)}`;
  return new EsgzError(ioCodeOf(cause), text, { cause });
}
