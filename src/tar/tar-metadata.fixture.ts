/**
 * Metadata for tests.
 *
 * @module
 */
import { plainMetadata, type TarMetadata } from "./index.ts";

/** An empty file that is not from 1970, changed by `changes`. */
export function metadataOf(changes: Partial<TarMetadata> = {}): TarMetadata {
  return plainMetadata({ name: "file", mtime: { seconds: 1_700_000_000, nanoseconds: 0 }, ...changes });
}
