/**
 * Practice for a process that will prepare images: the first one finds the code compiled.
 *
 * @module
 */
import { MemoryBlob } from "../blob/index.ts";
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { createCompressor, openArchive, writeArchive } from "../estargz/index.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, TarDecoder, type TarEvent } from "../tar/index.ts";
import { compileLayerArchive } from "./compile-layer-archive.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

/** Files of the layer that is practised on, and how often: then the compiler has seen what is hot. */
const FILES = 1500;
const ROUNDS = 4;

/**
 * Prepares a made-up layer a few times: opens its table of contents, compiles it, merges it. Takes about half a second of
 * one processor, in turns of some ten milliseconds.
 */
export async function rehearsePreparation(options: { readonly signal: AbortSignal }): Promise<void> {
  const blob = await makeLayer();
  for (let round = 0; round < ROUNDS; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal.aborted) return;
    const unverified = await openArchive(new MemoryBlob(blob));
    const { meta, dataSize } = compileLayerArchive(unverified.verify(unverified.tocDigest));
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal.aborted) return;
    mergeLayerMetas([meta, meta], [dataSize, dataSize]);
  }
}

async function makeLayer(): Promise<Uint8Array> {
  const tar = concatBytes([...Array.from({ length: FILES }, (_, at) => entryOf(at)), END_OF_ARCHIVE]);
  const options = { format: "estargz", level: 1, landmark: "no-prefetch", jobs: 1 } as const;
  // One member for all: it is the table of contents that matters.
  const sizes = { chunkSize: 4 << 20, minChunkSize: 1 << 20 };
  const compressor = createCompressor("zlib");
  return concatBytes(
    await Array.fromAsync(writeArchive(eventsOf(tar), { ...options, ...sizes, compressor })),
  );
}

// oxlint-disable-next-line require-await -- the writer takes an asynchronous stream
async function* eventsOf(tar: Uint8Array): AsyncGenerator<TarEvent[]> {
  const decoder = new TarDecoder();
  yield [...decoder.push(tar)];
  yield [...decoder.finish()];
}

/** Directories of 50 small files. */
function entryOf(at: number): Uint8Array {
  const isDirectory = at % 50 === 0;
  const directory = `usr/lib/part-${Math.floor(at / 50)}/`;
  const content = encodeUtf8(isDirectory ? "" : `content ${at}`);
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
