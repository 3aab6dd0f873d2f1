/**
 * Files that need not be there.
 *
 * @module
 */
import { systemCodeOf } from "../errors/index.ts";

/** What the promise gives, or undefined if the file or its directory is not there. @throws whatever else it rejects with */
export async function ifExists<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
