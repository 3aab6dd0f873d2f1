/**
 * How failures of the store are told.
 *
 * @module
 */
import { EsgzError, ioCodeOf, isEsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";

/** The error for something in the store that is not what it should be. */
export function storeInvalid(
  what: string,
  reason: { readonly expected: string; readonly found: string; readonly cause?: unknown },
): EsgzError {
  return new EsgzError(
    "STORE_INVALID",
    `Cannot open ${what}: expected ${reason.expected}, got ${reason.found}`,
    "cause" in reason ? { cause: reason.cause } : {},
  );
}

/** The error for a layer that somebody wants to be another than the one that is used. */
export function layerInUse(digest: Digest): EsgzError {
  return new EsgzError(
    "ALREADY_EXISTS",
    `Cannot make layer ${digest}: expected a layer that nobody uses, or one from the same TOC, got another in use`,
  );
}

/** The error for a refusal of the operating system: `NO_SPACE` for a full disk, else `IO_FAILED`. */
export function storeFailure(action: string, thrown: unknown): EsgzError {
  if (isEsgzError(thrown)) return thrown;
  const code = ioCodeOf(thrown);
  const found =
    code === "NO_SPACE" ? `expected room on the disk, got ${systemCodeOf(thrown)}` : messageOf(thrown);
  return new EsgzError(code, `Cannot ${action}: ${found}`, { cause: thrown });
}

/**
 * Runs file operations; what the system refuses is thrown as {@linkcode storeFailure}.
 *
 * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
 */
export async function guarded<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw storeFailure(action, error);
  }
}
