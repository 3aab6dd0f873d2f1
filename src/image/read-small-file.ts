import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { EsgzError } from "../errors/index.ts";
import { MAX_MANIFEST_BYTES } from "../oci/index.ts";
import { ioFailure } from "./io-failure.ts";

/**
 * Reads a manifest or index whole. What is no regular file is refused, not waited for.
 *
 * @throws {EsgzError} `IMAGE_NOT_FOUND`, `LIMIT_EXCEEDED` above 16 MiB, `IO_FAILED`
 */
export async function readSmallFile(path: string): Promise<Uint8Array> {
  try {
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await handle.stat();
    if (!found.isFile()) {
      throw new EsgzError("IO_FAILED", `Cannot read "${path}": expected a regular file`);
    }
    if (found.size > MAX_MANIFEST_BYTES) {
      throw new EsgzError(
        "LIMIT_EXCEEDED",
        `Cannot read "${path}": expected at most ${MAX_MANIFEST_BYTES} bytes, got ${found.size}`,
      );
    }
    return await handle.readFile();
  } catch (cause) {
    throw ioFailure("read", path, cause);
  }
}
