import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { ioFailure } from "./io-failure.ts";

/**
 * Replaces a file's content in one step: readers see the old bytes or the new ones, also after a crash.
 *
 * Synchronous on purpose: a caller that reads, changes and replaces a small file in one turn of the event loop cannot
 * be interleaved with another caller of the same process.
 *
 * @throws {EsgzError} `IO_FAILED`, `NO_SPACE`
 */
export function replaceFile(
  path: string,
  bytes: Uint8Array | string,
  options: { readonly temporary: string },
): void {
  const { temporary } = options;
  try {
    writeFileSync(temporary, bytes, { flush: true });
    renameSync(temporary, path);
    const directory = openSync(dirname(path), "r");
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw ioFailure("replace file", path, cause);
  }
}
