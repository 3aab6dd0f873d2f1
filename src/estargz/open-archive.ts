/**
 * From a blob to its table of contents, in one read where possible and two at most. Reading and taking out are apart: another
 * thread may do the second.
 *
 * @module
 */
import type { BlobSource } from "../blob/index.ts";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { ANNOTATIONS, type AnnotationMap, parseTocPlaces } from "../oci/index.ts";
import { decodeFooter, MAX_FOOTER_SIZE, type Footer } from "./footer.ts";
import { DEFAULT_LIMITS, limitExceeded, type EstargzLimits } from "./limits.ts";
import { extractExternalToc, extractGzipToc, extractZstdToc } from "./toc-member.ts";
import { UnverifiedArchive } from "./unverified-archive.ts";
import { decodeZstdPosition, SKIPPABLE_HEADER_SIZE } from "./zstd-footer.ts";

/** How {@linkcode openArchive} works. */
export interface OpenArchiveOptions {
  /**
   * The annotations of the layer's descriptor. Positions of zstd:chunked in them are taken before the footer's; an offset of
   * an eStargz TOC says what is read first.
   */
  readonly annotations?: AnnotationMap | null | undefined;
  /** Limits that differ from {@linkcode DEFAULT_LIMITS}. */
  readonly limits?: Partial<EstargzLimits> | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Bytes of the first read, at the end of the blob. By default what the annotations say, or a share of the blob that usually
   * holds the TOC.
   */
  readonly tailSize?: number | undefined;
  /** For layers whose TOC is elsewhere: the TOC image's layer (gzip tar), or the JSON itself. */
  readonly externalToc?: Uint8Array | undefined;
}

/** TOCs take 1 % of their blob or less, and of a small one, whose files often are small, 3 %. */
const TAIL_SHARE = 1 / 64;
const SMALL_TAIL_SHARE = 1 / 32;
/** A small blob has not so much TOC. */
const SMALL_MAX_TAIL = 256 * 1024;
/** Images have many small layers, which are all opened at once: four times as much would take longer than a round trip. */
const MIN_TAIL = 64 * 1024;
const MAX_TAIL = 4 * 1024 * 1024;
/** Nothing proves how large a table is that a descriptor speaks of: of a larger one, the usual tail is read first. */
const MAX_STATED_TAIL = 16 * 1024 * 1024;
const MAX_STATED_SHARE = 1 / 4;

/** A table of contents as it lies in a blob, or beside it. Plain data: it can be sent to another thread. */
export interface RawToc {
  readonly footer: Footer;
  /** The bytes that hold it: a member of the blob, or what was given as the external one. Maybe a view of a larger buffer. */
  readonly bytes: Uint8Array;
  readonly blobSize: number;
}

/**
 * Opens a seekable layer.
 *
 * @throws {EsgzError} `FOOTER_INVALID` if the blob is not seekable (an ordinary layer); `TOC_MISSING` if its TOC is
 * elsewhere and was not given; `TOC_INVALID`, `LIMIT_EXCEEDED` if the TOC cannot be taken out; codes of the blob.
 */
export async function openArchive(
  blob: BlobSource,
  options: OpenArchiveOptions = {},
): Promise<UnverifiedArchive> {
  return await openRawToc(await readRawToc(blob, options), options);
}

/**
 * Finds and reads the table of contents of a seekable layer, as it is: all that needs the blob.
 *
 * @throws {EsgzError} `FOOTER_INVALID`, `TOC_MISSING` as {@linkcode openArchive}; `LIMIT_EXCEEDED`; codes of the blob.
 */
export async function readRawToc(blob: BlobSource, options: OpenArchiveOptions = {}): Promise<RawToc> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const position = positionFrom(options.annotations, blob.size);
  const nothing = { offset: blob.size, bytes: NO_BYTES };
  const tail = position === undefined ? await readTail(blob, options) : nothing;
  const footer = position ?? decodeFooter(tail.bytes, blob.size);
  if (footer.kind !== "external") {
    const bytes = await readToc(blob, { ...options, footer, tail, limits });
    return { footer, bytes, blobSize: blob.size };
  }
  const { externalToc } = options;
  if (externalToc !== undefined) return { footer, bytes: externalToc, blobSize: blob.size };
  throw new EsgzError(
    "TOC_MISSING",
    "Cannot open layer: expected the external TOC that its footer speaks of, got none",
  );
}

/**
 * Takes a table of contents out of the bytes that hold it: all that needs the processor.
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export async function openRawToc(
  { footer, bytes, blobSize }: RawToc,
  options: Pick<OpenArchiveOptions, "limits"> = {},
): Promise<UnverifiedArchive> {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const facts = { footer, blobSize, limits };
  if (footer.kind === "external") {
    const json = await extractExternalToc(bytes, limits);
    const ownsJson = json.buffer !== bytes.buffer;
    const payloadSize = blobSize - footer.footerSize;
    return new UnverifiedArchive({ ...facts, json, ownsJson, compressed: undefined, payloadSize });
  }
  if (footer.kind === "zstd:chunked") {
    const json = await extractZstdToc(bytes, { footer, limits });
    const payloadSize = footer.tocOffset - SKIPPABLE_HEADER_SIZE;
    return new UnverifiedArchive({ ...facts, json, ownsJson: true, compressed: bytes, payloadSize });
  }
  const json = await extractGzipToc(bytes, limits);
  const payloadSize = footer.tocOffset;
  return new UnverifiedArchive({ ...facts, json, ownsJson: true, compressed: undefined, payloadSize });
}

/** The zstd:chunked position that the annotations state; undefined if they state none that is usable. */
function positionFrom(
  annotations: AnnotationMap | null | undefined,
  blobSize: number,
): Exclude<Footer, { kind: "external" }> | undefined {
  const position = annotations?.[ANNOTATIONS.zstdPosition] ?? annotations?.[ANNOTATIONS.zstdPositionStargz];
  if (position === undefined) return undefined;
  try {
    const tarSplit = annotations?.[ANNOTATIONS.zstdTarSplitPosition];
    return decodeZstdPosition(position, { tarSplit, blobSize });
  } catch (error) {
    // A footer may still say it right.
    if (isEsgzError(error, "FOOTER_INVALID")) return undefined;
    throw error;
  }
}

interface Tail {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

async function readTail(blob: BlobSource, options: OpenArchiveOptions): Promise<Tail> {
  const wanted = options.tailSize ?? statedTail(options.annotations, blob.size) ?? usualTail(blob.size);
  const size = Math.min(blob.size, Math.max(wanted, MAX_FOOTER_SIZE));
  const offset = blob.size - size;
  const bytes = size === 0 ? NO_BYTES : await blob.read({ offset, size }, { signal: options.signal });
  return { offset, bytes };
}

/** From where annotations say that the TOC begins; undefined if they say nothing that is usable. */
function statedTail(annotations: AnnotationMap | null | undefined, blobSize: number): number | undefined {
  const [place] = parseTocPlaces(annotations?.[ANNOTATIONS.tocPlaces]);
  if (place?.blobSize !== blobSize) return undefined;
  const size = blobSize - place.offset;
  return size <= Math.min(MAX_STATED_TAIL, blobSize * MAX_STATED_SHARE) ? size : undefined;
}

function usualTail(blobSize: number): number {
  const small = Math.min(blobSize * SMALL_TAIL_SHARE, SMALL_MAX_TAIL);
  return Math.min(Math.max(Math.ceil(blobSize * TAIL_SHARE), Math.ceil(small), MIN_TAIL), MAX_TAIL);
}

/** The bytes of the compressed TOC: out of the tail, and the part in front of it with a second read. */
async function readToc(
  blob: BlobSource,
  options: {
    readonly footer: Exclude<Footer, { kind: "external" }>;
    readonly tail: Tail;
    readonly limits: EstargzLimits;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Uint8Array> {
  const { footer, tail, limits } = options;
  const start = footer.tocOffset;
  const end =
    footer.kind === "zstd:chunked" ? start + footer.tocCompressedSize : blob.size - footer.footerSize;
  if (end - start > limits.maxTocBytes) {
    throw limitExceeded("compressed TOC bytes", limits.maxTocBytes, end - start);
  }
  const inTail = tail.bytes.subarray(Math.max(0, start - tail.offset), Math.max(0, end - tail.offset));
  // Most of a tail that was guessed may be something else, which is not kept for the table's sake.
  if (start >= tail.offset) return inTail.length * 2 < tail.bytes.length ? new Uint8Array(inTail) : inTail;
  const size = Math.min(end, tail.offset) - start;
  const front = await blob.read({ offset: start, size }, { signal: options.signal });
  return concatBytes([front, inTail]);
}
