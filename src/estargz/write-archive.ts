/**
 * Writes a seekable layer from the events of a tar.
 *
 *     eStargz          members | TOC member: tar of stargz.index.json | footer
 *     external TOC     members, the last with the end of the archive  | footer
 *     zstd:chunked     frames, the last with the end of the archive   | skippable frames: TOC, tar-split, footer
 *
 * @module
 */
import { createHash, hash } from "node:crypto";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { ANNOTATIONS, type AnnotationMap, type Digest, formatTocPlaces } from "../oci/index.ts";
import { createCompressor } from "./compressor.ts";
import { encodeToc } from "./encode-toc.ts";
import { encodeEstargzFooter, encodeExternalFooter } from "./gzip-footer.ts";
import { MemberCutter } from "./member-cutter.ts";
import { MemberQueue } from "./member-queue.ts";
import { releaseBytes } from "./release-bytes.ts";
import { TarLayout, tarOfToc, type ArchiveInput } from "./tar-layout.ts";
import { TarSplitRecorder } from "./tar-split.ts";
import { type CompressedPart, TarSplitFrames } from "./tar-split-frames.ts";
import { TocRecords } from "./toc-records.ts";
import {
  assertWriteOptions,
  DEFAULT_CHUNK_SIZE,
  isForContainers,
  type WriteArchiveOptions,
} from "./write-options.ts";
import { encodeZstdEnd } from "./zstd-end.ts";

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
  assertWriteOptions(options);
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
  readonly #tarSplit: TarSplitFrames | undefined;
  readonly #blobHash = createHash("sha256");
  #output: Uint8Array[] = [];
  #outputSize = 0;
  #blobSize = 0;
  #toc: Uint8Array = NO_BYTES;
  #entries = 0;
  #annotations: AnnotationMap = {};

  constructor(options: WriteArchiveOptions) {
    const { chunkSize = DEFAULT_CHUNK_SIZE, minChunkSize = 0, losslessTar = false } = options;
    this.#options = options;
    this.#chunkSize = chunkSize;
    this.#maxBytes = options.maxBytesInFlight ?? DEFAULT_BYTES_IN_FLIGHT;
    this.#queue = new MemberQueue(options);
    const onMember = this.#queue.add.bind(this.#queue);
    this.#cutter = new MemberCutter({ chunkSize, minChunkSize, onMember });
    const isSplit = isForContainers(options);
    const tarSplit = isSplit ? new TarSplitRecorder() : undefined;
    this.#tarSplit = tarSplit && new TarSplitFrames(tarSplit, (piece) => this.#compressToc([piece]));
    const landmark = isSplit ? "none" : options.landmark;
    const { cutter, records } = { cutter: this.#cutter, records: this.#records };
    this.#layout = new TarLayout({ losslessTar, landmark, tarSplit, cutter, records });
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
      await this.#tarSplit?.advance();
    }
    this.#layout.finish(!embedsTar);
    yield* this.#take(0);
    signal?.throwIfAborted();
    await this.#writeEnd(embedsTar);
    yield this.#flush();
  }

  /** What was written; only after the last byte. */
  summarize(): ArchiveSummary {
    const { format } = this.#options;
    const tocDigest: Digest = `sha256:${hash("sha256", this.#toc, "hex")}`;
    const uncompressedSize = this.#cutter.cutSize;
    const stargzAnnotations = {
      [ANNOTATIONS.tocDigest]: tocDigest,
      [ANNOTATIONS.uncompressedSize]: String(uncompressedSize),
    };
    return {
      blobDigest: `sha256:${this.#blobHash.digest("hex")}`,
      blobSize: this.#blobSize,
      diffId: `sha256:${this.#cutter.digest()}`,
      uncompressedSize,
      tocDigest,
      toc: this.#toc,
      annotations: {
        ...(isForContainers(this.#options) ? {} : stargzAnnotations),
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
      place.blobEnd = this.#blobSize;
      if (this.#outputSize >= OUTPUT_SIZE) yield this.#flush();
    }
  }

  /** Writes TOC and footer. */
  async #writeEnd(embedsTar: boolean): Promise<void> {
    const { externalToc, format } = this.#options;
    const tarSplit = await this.#tarSplit?.finish();
    const tarSplitDigest: Digest | undefined = tarSplit && `sha256:${hash("sha256", tarSplit.bytes, "hex")}`;
    const explicitChunks = isForContainers(this.#options);
    const style = { chunkSize: this.#chunkSize, explicitChunks, tarSplitDigest };
    this.#toc = concatBytes(encodeToc(this.#records.finish(), style));
    this.#entries = this.#records.size;
    if (format === "zstd:chunked") await this.#writeZstdEnd(tarSplit);
    else if (externalToc === true) this.#put(encodeExternalFooter());
    else if (embedsTar) {
      const tar = tarOfToc(this.#toc);
      for (const part of tar) this.#cutter.hashBeyond(part);
      const tocOffset = this.#blobSize;
      this.#put(await this.#compressToc(tar));
      this.#put(encodeEstargzFooter(tocOffset));
      const place = { offset: tocOffset, blobSize: this.#blobSize };
      this.#annotations = { [ANNOTATIONS.tocPlaces]: formatTocPlaces([place]) };
    }
  }

  async #writeZstdEnd(tarSplit: CompressedPart | undefined): Promise<void> {
    const { zstdDialect: dialect = "stargz" } = this.#options;
    const toc = { bytes: await this.#compressToc([this.#toc]), size: this.#toc.length };
    const { parts, annotations } = encodeZstdEnd({ dialect, blobOffset: this.#blobSize, toc, tarSplit });
    for (const part of parts) this.#put(part);
    this.#annotations = annotations;
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
