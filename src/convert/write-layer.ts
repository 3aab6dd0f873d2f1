/**
 * Writing a layer in another format, from its tar to the destination, without holding it in memory.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { type ArchiveStream, writeArchive, type WriteArchiveOptions } from "../estargz/index.ts";
import { type Layer, streamLayerTar } from "../image/index.ts";
import type { Digest, LayerCompression } from "../oci/index.ts";
import type { Conversion } from "./conversion.ts";
import type { WrittenLayer } from "./layer-descriptor.ts";
import { inputFromSpool, inputFromTar, type LayerInput, prioritizedOf } from "./layer-input.ts";
import type { LayerProgress } from "./layer-progress.ts";
import { compressPieces, PIECE_SIZE } from "./piece-compression.ts";
import { TarSpool } from "./tar-spool.ts";

/** What writing a layer takes. */
export interface WriteLayerOptions {
  readonly conversion: Conversion;
  readonly progress: LayerProgress;
  readonly diffId: Digest;
  readonly maxBytesInFlight: number;
  readonly signal: AbortSignal;
}

/** A layer that was written. */
export interface WriteLayerResult {
  readonly written: WrittenLayer;
  readonly diffId: Digest;
  readonly tocDigest?: Digest | undefined;
}

/** Reads a layer's tar, checked to its end, and writes it in the wanted format. */
export async function writeLayer(layer: Layer, options: WriteLayerOptions): Promise<WriteLayerResult> {
  const { conversion, progress, signal } = options;
  const tar = streamLayerTar({ ...layer, blob: progress.countIn(layer.blob) }, { signal });
  if (!conversion.settings.seekable) return await writePlain(tar, options);
  if (conversion.globs.length === 0) {
    const input = inputFromTar(tar, { lossless: conversion.settings.keepDiffId });
    return await writeSeekable(input, { ...options, landmark: "no-prefetch" });
  }
  return await writePrioritized(tar, options);
}

/** One of the formats without an index: the tar itself stays, byte for byte. */
async function writePlain(
  tar: AsyncIterable<Uint8Array>,
  { conversion, progress, diffId, maxBytesInFlight, signal }: WriteLayerOptions,
): Promise<WriteLayerResult> {
  const { compressor, settings } = conversion;
  const pieces = Math.min(settings.jobs + 1, Math.max(2, Math.floor(maxBytesInFlight / PIECE_SIZE)));
  const stream =
    compressor === undefined
      ? tar
      : compressPieces(tar, { compressor, level: settings.level, pieces, signal });
  const blob = await conversion.destination.writeBlob(progress.countOut(stream), { signal });
  const compression = settings.format as LayerCompression;
  return { written: { ...blob, compression, annotations: {} }, diffId };
}

async function writePrioritized(
  tar: AsyncIterable<Uint8Array>,
  options: WriteLayerOptions,
): Promise<WriteLayerResult> {
  const { conversion, signal } = options;
  const { temporaryDirectory: directory } = conversion.settings;
  await using spool = await TarSpool.create(tar, { directory, signal });
  const { paths, matched } = prioritizedOf(spool, conversion.globs);
  for (const pattern of matched) conversion.matched.add(pattern);
  if (paths.length === 0) {
    return await writeSeekable(spool.readAll({ signal }), { ...options, landmark: "no-prefetch" });
  }
  return await writeSeekable(inputFromSpool(spool, paths, { signal }), { ...options, landmark: "prefetch" });
}

interface WriteSeekableOptions extends WriteLayerOptions {
  readonly landmark: WriteArchiveOptions["landmark"];
}

async function writeSeekable(input: LayerInput, options: WriteSeekableOptions): Promise<WriteLayerResult> {
  const { conversion, progress, signal } = options;
  const archive = writeArchive(input, archiveOptions(options));
  // A failure reaches the caller through the stream; here it must only not count as unhandled.
  archive.summary.catch(() => undefined);
  const blob = await conversion.destination.writeBlob(progress.countOut(archive), { signal });
  const summary = await checkedSummary(archive, { blob: blob.digest, options });
  if (conversion.tocImage !== undefined) {
    await conversion.tocImage.add(blob.digest, summary.toc, { signal });
  }
  const { annotations, mediaCompression: compression, diffId, tocDigest } = summary;
  return { written: { ...blob, compression, annotations }, diffId, tocDigest };
}

function archiveOptions({
  conversion,
  landmark,
  maxBytesInFlight,
  signal,
}: WriteSeekableOptions): WriteArchiveOptions {
  const { settings, compressor } = conversion;
  if (compressor === undefined) throw internal("a compressor", "none");
  return {
    format: settings.format === "zstd:chunked" ? "zstd:chunked" : "estargz",
    level: settings.level,
    chunkSize: settings.chunkSize,
    minChunkSize: settings.minChunkSize,
    externalToc: settings.externalToc,
    losslessTar: settings.keepDiffId,
    landmark,
    zstdDialect: settings.zstdDialect,
    compressor,
    jobs: settings.jobs,
    maxBytesInFlight,
    signal,
  };
}

/** The writer's summary, once it agrees with what the destination got and with what was promised. */
async function checkedSummary(
  archive: ArchiveStream,
  { blob, options }: { readonly blob: Digest; readonly options: WriteSeekableOptions },
): Promise<Awaited<ArchiveStream["summary"]>> {
  const summary = await archive.summary;
  if (summary.blobDigest !== blob) throw internal(`the blob ${summary.blobDigest}`, blob);
  const kept = summary.diffId === options.diffId;
  if (options.conversion.settings.keepDiffId && !kept) {
    throw internal(`the diff id ${options.diffId}`, summary.diffId);
  }
  return summary;
}

function internal(expected: string, found: string): EsgzError {
  return new EsgzError("INTERNAL", `Cannot write layer: expected ${expected}, got ${found}`);
}
