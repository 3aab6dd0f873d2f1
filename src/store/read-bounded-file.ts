import { type Stats, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { ifExists } from "../files/index.ts";
import { storeInvalid } from "./store-error.ts";

/**
 * Reads a whole file, or undefined if there is none.
 *
 * @throws {EsgzError} `STORE_INVALID` if it is no regular file or has more than `limit` bytes.
 */
export async function readBoundedFile(
  path: string,
  options: { readonly limit: number },
): Promise<Uint8Array | undefined> {
  const found = statFile(path);
  if (found === undefined) return undefined;
  if (found.size > options.limit) {
    throw storeInvalid(`"${path}"`, {
      expected: `at most ${options.limit} bytes`,
      found: String(found.size),
    });
  }
  return await ifExists(readFile(path));
}

/** What a regular file is, or undefined if there is none. @throws {EsgzError} `STORE_INVALID` for what is no regular file */
export function statFile(path: string): Stats | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isFile()) return found;
  throw storeInvalid(`"${path}"`, { expected: "a regular file", found: "something else" });
}
