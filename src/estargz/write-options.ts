/**
 * What writing an archive can be told.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Compressor } from "./compressor.ts";
import { DEFAULT_LIMITS } from "./limits.ts";
import type { ZstdDialect } from "./zstd-end.ts";

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
  /**
   * Who reads zstd:chunked in parts; default `stargz`. For `containers` no landmark is written, headers are encoded anew,
   * and tar-split data is added unless the tar has what it cannot agree with the TOC on: a name that occurs twice, a
   * name that is not UTF-8.
   */
  readonly zstdDialect?: ZstdDialect | undefined;
}

/** Bytes of a chunk where nothing else is said. */
export const DEFAULT_CHUNK_SIZE: number = 4 * 1024 * 1024;

/** Whether the archive is for containers-storage to read in parts. */
export function isForContainers({ format, zstdDialect }: WriteArchiveOptions): boolean {
  return format === "zstd:chunked" && zstdDialect === "containers";
}

/**
 * Refuses options that do not go together.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`, `NOT_SUPPORTED`
 */
export function assertWriteOptions(options: WriteArchiveOptions): void {
  const { format, externalToc = false, losslessTar = false, compressor } = options;
  const { chunkSize = DEFAULT_CHUNK_SIZE, minChunkSize = 0, jobs } = options;
  const isZstd = format === "zstd:chunked";
  if (isForContainers(options)) {
    if (losslessTar)
      throw unsupported('the zstd:chunked dialect "stargz" with a lossless tar', '"containers"');
    if (minChunkSize > 0)
      throw unsupported("a member per chunk for containers-storage", "a minimum chunk size");
  }
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
