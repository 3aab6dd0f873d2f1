/**
 * Writes a seekable layer from the events of a tar.
 *
 *     eStargz          members | TOC member: tar of stargz.index.json | footer
 *     external TOC     members, the last with the end of the archive  | footer
 *     zstd:chunked     frames, the last with the end of the archive   | skippable frame: TOC | skippable frame: footer
 *
 * @module
 */
import { createHash, hash } from "node:crypto";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { ANNOTATIONS, type AnnotationMap, type Digest } from "../oci/index.ts";
import { createCompressor, type Compressor } from "./compressor.ts";
import { encodeToc } from "./encode-toc.ts";
import { encodeEstargzFooter, encodeExternalFooter } from "./gzip-footer.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import { MemberCutter } from "./member-cutter.ts";
import { MemberQueue } from "./member-queue.ts";
import { releaseBytes } from "./release-bytes.ts";
import { TarLayout, tarOfToc, type ArchiveInput } from "./tar-layout.ts";
import { TocRecords } from "./toc-records.ts";
import {
  encodeSkippableFrame,
  encodeZstdFooter,
  SKIPPABLE_HEADER_SIZE,
  ZSTD_MANIFEST_TYPE,
} from "./zstd-footer.ts";

/** What to write, and how. */
export interface WriteArchiveOptions {
  readonly format: "estargz" | "zstd:chunked";
  /** The compressor's level. */
  readonly level: number;
  /** Files are cut into chunks of this many bytes; default 4 MiB, at most 64 MiB. */
  readonly chunkSize?: number | undefined;
  /**
   * Chunks share a member until it has this many bytes of content: smaller blobs, coarser reads. Uncompressed bytes, so
   * that the output never depends on the workers. Default 0: a member per chunk.
   */
  readonly minChunkSize?: number | undefined;
  /** Leave the TOC out of the blob; it is in the summary. eStargz only. */
  readonly externalToc?: boolean | undefined;
  /**
   * Keep the tar byte for byte, and so the diff id: no landmark, the source's end of archive. With `externalToc` or
   * zstd:chunked.
   */
  readonly losslessTar?: boolean | undefined;
  /** `prefetch`: the input has a landmark event behind the prioritized files, or all files are. */
  readonly landmark: "no-prefetch" | "prefetch";
  /** One for gzip (eStargz) or zstd (zstd:chunked). */
  readonly compressor: Compressor;
  /** Members compressed at once. Never changes the output. */
  readonly jobs: number;
  /** Bytes of members in memory, about; default 64 MiB. Never changes the output. */
  readonly maxBytesInFlight?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Only `stargz` is written: its 40-byte footer and annotations. */
  readonly zstdDialect?: "stargz" | "containers" | undefined;
}

/** What was written. */
export interface ArchiveSummary {
  readonly blobDigest: Digest;
  readonly blobSize: number;
  /** The digest of the decompressed blob, the TOC's tar entry included where there is one. */
  readonly diffId: Digest;
  /** Bytes of the decompressed blob. */
  readonly uncompressedSize: number;
  readonly tocDigest: Digest;
  /** The TOC JSON. */
  readonly toc: Uint8Array;
  /** To put on the layer's descriptor. */
  readonly annotations: AnnotationMap;
  readonly mediaCompression: "gzip" | "zstd";
  /** Names in the TOC, landmarks included. */
  readonly entries: number;
}

/** The bytes of an archive, in order, made as they are taken. Can be iterated once. */
export interface ArchiveStream extends AsyncIterable<Uint8Array> {
  /** Resolves when the last byte was taken; rejects when the stream failed or was left early. */
  readonly summary: Promise<ArchiveSummary>;
}

const DEFAULT_CHUNK_SIZE = 4 * 1024 * 1024;
const DEFAULT_BYTES_IN_FLIGHT = 64 * 1024 * 1024;
/** Small members are given out together. */
const OUTPUT_SIZE = 256 * 1024;
/** The TOC is always worth compressing. */
const MIN_TOC_LEVEL = 6;

/**
 * Writes an archive. The bytes depend on the input, the format, the sizes, the compressor and its level only.
 *
 * The stream throws `TAR_INVALID` for an input that ends inside a file or links to nothing, `NOT_SUPPORTED` for what a
 * lossless archive cannot hold, `ABORTED` codes of the signal, and whatever the input throws.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`, `NOT_SUPPORTED` for options that do not go together.
 */
export function writeArchive(
  input: AsyncIterable<readonly ArchiveInput[]>,
  options: WriteArchiveOptions,
): ArchiveStream {
  assertOptions(options);
  const { promise: summary, resolve, reject } = Promise.withResolvers<ArchiveSummary>();
  // Who takes the bytes sees the failure there as well.
  summary.catch(() => undefined);
  const writer = new ArchiveWriter(options);
  async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* writer.write(input);
      resolve(writer.summarize());
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      reject(
        new EsgzError("ABORTED", "Cannot write archive: expected all of it to be taken, got an early end"),
      );
    }
  }
  const iterator = bytes();
  return { summary, [Symbol.asyncIterator]: () => iterator };
}

/**
 * The layer of a TOC image: a gzip tar with the TOC as its one file.
 *
 * @param toc the TOC JSON of {@link ArchiveSummary}
 */
export async function encodeTocLayer(toc: Uint8Array): Promise<Uint8Array> {
  return await createCompressor("zlib").compress(tarOfToc(toc), { level: 9 });
}

/** One archive under way. */
class ArchiveWriter {
  readonly #options: WriteArchiveOptions;
  readonly #chunkSize: number;
  readonly #maxBytes: number;
  readonly #queue: MemberQueue;
  readonly #records = new TocRecords();
  readonly #cutter: MemberCutter;
  readonly #layout: TarLayout;
  readonly #blobHash = createHash("sha256");
  #output: Uint8Array[] = [];
  #outputSize = 0;
  #blobSize = 0;
  #toc: Uint8Array = NO_BYTES;
  #entries = 0;
  #annotations: Record<string, string> = {};

  constructor(options: WriteArchiveOptions) {
    const { chunkSize = DEFAULT_CHUNK_SIZE, minChunkSize = 0, losslessTar = false, landmark } = options;
    this.#options = options;
    this.#chunkSize = chunkSize;
    this.#maxBytes = options.maxBytesInFlight ?? DEFAULT_BYTES_IN_FLIGHT;
    this.#queue = new MemberQueue(options);
    const onMember = this.#queue.add.bind(this.#queue);
    this.#cutter = new MemberCutter({ chunkSize, minChunkSize, onMember });
    this.#layout = new TarLayout({ losslessTar, landmark, cutter: this.#cutter, records: this.#records });
  }

  async *write(input: AsyncIterable<readonly ArchiveInput[]>): AsyncGenerator<Uint8Array, void, undefined> {
    const { externalToc, format, signal } = this.#options;
    const embedsTar = format === "estargz" && externalToc !== true;
    for await (const batch of input) {
      signal?.throwIfAborted();
      for (const event of batch) {
        this.#layout.add(event);
        if (this.#queue.heldBytes > this.#maxBytes) yield* this.#take(this.#maxBytes);
      }
      yield* this.#take(this.#maxBytes);
    }
    this.#layout.finish(!embedsTar);
    yield* this.#take(0);
    signal?.throwIfAborted();
    this.#toc = concatBytes(encodeToc(this.#records.finish(), { chunkSize: this.#chunkSize }));
    this.#entries = this.#records.size;
    await this.#writeEnd(embedsTar);
    yield this.#flush();
  }

  /** What was written; only after the last byte. */
  summarize(): ArchiveSummary {
    const { format } = this.#options;
    const tocDigest: Digest = `sha256:${hash("sha256", this.#toc, "hex")}`;
    const uncompressedSize = this.#cutter.cutSize;
    return {
      blobDigest: `sha256:${this.#blobHash.digest("hex")}`,
      blobSize: this.#blobSize,
      diffId: `sha256:${this.#cutter.digest()}`,
      uncompressedSize,
      tocDigest,
      toc: this.#toc,
      annotations: {
        [ANNOTATIONS.tocDigest]: tocDigest,
        [ANNOTATIONS.uncompressedSize]: String(uncompressedSize),
        ...this.#annotations,
      },
      mediaCompression: format === "estargz" ? "gzip" : "zstd",
      entries: this.#entries,
    };
  }

  /** Takes members that are ready, and waits for others while more than `maxBytes` are held. */
  async *#take(maxBytes: number): AsyncGenerator<Uint8Array, void, undefined> {
    const { signal } = this.#options;
    while (
      !this.#queue.isEmpty &&
      (this.#queue.isReady || maxBytes === 0 || this.#queue.heldBytes > maxBytes)
    ) {
      const { bytes, place } = await this.#queue.take();
      signal?.throwIfAborted();
      place.blobOffset = this.#blobSize;
      this.#put(bytes);
      if (this.#outputSize >= OUTPUT_SIZE) yield this.#flush();
    }
  }

  /** Writes TOC and footer. */
  async #writeEnd(embedsTar: boolean): Promise<void> {
    const { externalToc, format } = this.#options;
    if (format === "zstd:chunked") await this.#writeZstdEnd();
    else if (externalToc === true) this.#put(encodeExternalFooter());
    else if (embedsTar) {
      const tar = tarOfToc(this.#toc);
      for (const part of tar) this.#cutter.hashBeyond(part);
      const tocOffset = this.#blobSize;
      this.#put(await this.#compressToc(tar));
      this.#put(encodeEstargzFooter(tocOffset));
    }
  }

  async #writeZstdEnd(): Promise<void> {
    const compressed = await this.#compressToc([this.#toc]);
    const offset = this.#blobSize + SKIPPABLE_HEADER_SIZE;
    const toc = { offset, compressedSize: compressed.length, size: this.#toc.length };
    this.#put(encodeSkippableFrame(compressed));
    this.#put(encodeZstdFooter(toc));
    this.#annotations = {
      [ANNOTATIONS.zstdChecksumStargz]: `sha256:${hash("sha256", compressed, "hex")}`,
      [ANNOTATIONS.zstdPositionStargz]: [offset, toc.compressedSize, toc.size, ZSTD_MANIFEST_TYPE].join(":"),
    };
  }

  async #compressToc(parts: readonly Uint8Array[]): Promise<Uint8Array> {
    const { compressor, level, signal } = this.#options;
    return await compressor.compress(parts, { level: Math.max(level, MIN_TOC_LEVEL), signal });
  }

  #put(bytes: Uint8Array): void {
    this.#output.push(bytes);
    this.#outputSize += bytes.length;
    this.#blobSize += bytes.length;
  }

  #flush(): Uint8Array {
    const bytes = concatBytes(this.#output);
    if (this.#output.length > 1) for (const part of this.#output) releaseBytes(part);
    this.#output = [];
    this.#outputSize = 0;
    this.#blobHash.update(bytes);
    return bytes;
  }
}

function assertOptions(options: WriteArchiveOptions): void {
  const { format, externalToc = false, losslessTar = false, zstdDialect = "stargz", compressor } = options;
  const { chunkSize = DEFAULT_CHUNK_SIZE, minChunkSize = 0, jobs } = options;
  const isZstd = format === "zstd:chunked";
  if (zstdDialect !== "stargz") throw unsupported('the zstd:chunked dialect "stargz"', `"${zstdDialect}"`);
  if (isZstd && externalToc) throw unsupported("a TOC inside zstd:chunked", "an external one");
  if (losslessTar && !isZstd && !externalToc) {
    throw unsupported("an external TOC with a lossless tar", "an embedded one");
  }
  if (isZstd !== (compressor.name === "zstd"))
    throw unsupported(`a compressor for ${format}`, compressor.name);
  assertSize("chunk size", chunkSize, { min: 1, max: DEFAULT_LIMITS.maxChunkSize });
  const maxMember = DEFAULT_LIMITS.maxMemberSize - DEFAULT_LIMITS.maxChunkSize;
  assertSize("minimum chunk size", minChunkSize, {
    min: 0,
    max: Math.min(maxMember, DEFAULT_LIMITS.maxChunkSize),
  });
  assertSize("number of jobs", jobs, { min: 1, max: 1024 });
}

function assertSize(what: string, value: number, range: { min: number; max: number }): void {
  if (Number.isInteger(value) && value >= range.min && value <= range.max) return;
  throw new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot write archive: expected a ${what} from ${range.min} to ${range.max}, got ${value}`,
  );
}

function unsupported(expected: string, found: string): EsgzError {
  return new EsgzError("NOT_SUPPORTED", `Cannot write archive: expected ${expected}, got ${found}`);
}
