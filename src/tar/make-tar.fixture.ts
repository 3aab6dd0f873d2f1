/**
 * For tests: tars of a few files.
 *
 * @module
 */
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { encodeTarHeader } from "./encode-tar-header.ts";
import { plainMetadata } from "./plain-metadata.ts";
import { END_OF_ARCHIVE, paddingOf } from "./tar-block.ts";
import { TarDecoder } from "./tar-decoder.ts";
import type { TarEvent, TarMetadata } from "./tar-entry.ts";

/** A file by what is special about it; a name that ends in `/` is a directory. */
export type FileSpec = Partial<Omit<TarMetadata, "size">> & {
  readonly name: string;
  readonly content?: string | Uint8Array;
};

/** A tar of files. */
export function tarOf(files: readonly FileSpec[]): Uint8Array {
  const parts = files.flatMap(({ content = "", ...file }) => {
    const bytes = typeof content === "string" ? encodeUtf8(content) : content;
    const type = file.type ?? (file.name.endsWith("/") ? "dir" : "reg");
    const mode = type === "dir" ? 0o755 : 0o644;
    const mtime = { seconds: 1_700_000_000, nanoseconds: 0 };
    const header = encodeTarHeader(plainMetadata({ mode, mtime, ...file, type, size: bytes.length }));
    return [header, bytes, new Uint8Array(paddingOf(bytes.length))];
  });
  return concatBytes([...parts, END_OF_ARCHIVE]);
}

/** What a decoder says of a whole tar. */
// oxlint-disable-next-line require-await -- those who take events take an asynchronous stream
export async function* eventsOf(tar: Uint8Array): AsyncGenerator<TarEvent[]> {
  const decoder = new TarDecoder();
  yield [...decoder.push(tar)];
  yield [...decoder.finish()];
}
