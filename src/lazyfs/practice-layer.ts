/**
 * A made-up layer, for practice.
 *
 * @module
 */
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { createCompressor, writeArchive } from "../estargz/index.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, TarDecoder, type TarEvent } from "../tar/index.ts";

/** What to make. */
export interface PracticeLayerOptions {
  /** How many entries, directories among them. */
  readonly files: number;
  /** Bytes of each file beside its number; default none. */
  readonly fileSize?: number;
  /** Whether each file is a member of its own; default: one member holds all. */
  readonly apart?: boolean;
}

/** An eStargz layer, as bytes: directories of 50 files. */
export async function makePracticeLayer(options: PracticeLayerOptions): Promise<Uint8Array> {
  const { files, fileSize = 0, apart = false } = options;
  const entries = Array.from({ length: files }, (_, at) => entryOf(at, fileSize));
  const tar = concatBytes([...entries, END_OF_ARCHIVE]);
  const format = { format: "estargz", level: 1, landmark: "no-prefetch", jobs: 1 } as const;
  const sizes = { chunkSize: 4 << 20, minChunkSize: apart ? 0 : 1 << 20 };
  const compressor = createCompressor("zlib");
  return concatBytes(await Array.fromAsync(writeArchive(eventsOf(tar), { ...format, ...sizes, compressor })));
}

// oxlint-disable-next-line require-await -- the writer takes an asynchronous stream
async function* eventsOf(tar: Uint8Array): AsyncGenerator<TarEvent[]> {
  const decoder = new TarDecoder();
  yield [...decoder.push(tar)];
  yield [...decoder.finish()];
}

function entryOf(at: number, fileSize: number): Uint8Array {
  const isDirectory = at % 50 === 0;
  const directory = `usr/lib/part-${Math.floor(at / 50)}/`;
  const content = encodeUtf8(isDirectory ? "" : `content ${at}`.padEnd(fileSize, "practice "));
  const header = encodeTarHeader({
    name: isDirectory ? directory : `${directory}file-${at}.so`,
    type: isDirectory ? "dir" : "reg",
    size: content.length,
    mode: 0o755,
    uid: 0,
    gid: 0,
    userName: "root",
    groupName: "root",
    mtime: { seconds: 1_700_000_000 + at, nanoseconds: 0 },
    linkName: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
  });
  return concatBytes([header, content, new Uint8Array(paddingOf(content.length))]);
}
