/**
 * The footers of zstd:chunked: a skippable frame with positions and a magic.
 *
 *     stargz, early    1.47-1.49   containers-storage
 *     containers
 *              4           4           4   magic of a skippable frame: 50 2a 4d 18
 *              4           4           4   length of what follows = 40 | 56 | 64, little-endian
 *              8           8           8   TOC offset (of the zstd data: 8 after the start of its skippable frame)
 *              8           8           8   TOC compressed length
 *              8           8           8   TOC length
 *              8           8           8   manifest type = 1
 *              8           8           -   "GnUlInUx"
 *              -          16           -   zeros
 *              -           -           8   tar-split offset
 *              -           -           8   tar-split compressed length
 *              -           -           8   tar-split length
 *              -           -           8   "GNUlInUx"
 *             --          --          --
 *             48          64          72
 *
 * All numbers are little-endian. The second letter of the magic differs between the layouts; both are accepted in each.
 *
 * Source: containers-storage pkg/chunked (three generations); stargz-snapshotter estargz/zstdchunked.
 *
 * @module
 */
import { concatBytes, decodeUtf8, encodeUtf8, viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";

/** zstd:chunked: the TOC is `tocCompressedSize` bytes of zstd inside a skippable frame. */
export interface ZstdFooter {
  readonly kind: "zstd:chunked";
  readonly tocOffset: number;
  readonly tocCompressedSize: number;
  /** Bytes of the TOC JSON. */
  readonly tocSize: number;
  /** Where the data is that rebuilds the original tar, in layers of containers-storage. */
  readonly tarSplit?: { readonly offset: number; readonly compressedSize: number; readonly size: number };
  /** Bytes of the footer with the header of its skippable frame; 0 where the position came from annotations. */
  readonly footerSize: number;
}

/** Bytes of a skippable frame in front of its content. */
export const SKIPPABLE_HEADER_SIZE = 8;
/** Bytes of the longest zstd:chunked footer, with the header of its frame. */
export const ZSTD_MAX_FOOTER_SIZE: number = SKIPPABLE_HEADER_SIZE + 64;
/** The manifest type of a TOC in the format of stargz: the only one in use. */
export const ZSTD_MANIFEST_TYPE = 1;

const SKIPPABLE_MAGIC = 0x184d2a50;
const MAGICS: readonly string[] = ["GnUlInUx", "GNUlInUx"];
const MAGIC_SIZE = 8;
/** Content length -> where the magic stands in it. */
const LAYOUTS = [
  { length: 40, magicAt: 32 },
  { length: 56, magicAt: 32 },
  { length: 64, magicAt: 56 },
] as const;

/** Wraps bytes in a skippable frame, which every zstd decoder reads past. */
export function encodeSkippableFrame(content: Uint8Array): Uint8Array {
  const header = new Uint8Array(SKIPPABLE_HEADER_SIZE);
  const view = viewOf(header);
  view.setUint32(0, SKIPPABLE_MAGIC, true);
  view.setUint32(4, content.length, true);
  return concatBytes([header, content]);
}

/** Encodes a 40-byte footer with its frame: 48 bytes. */
export function encodeZstdFooter(toc: CompressedRange): Uint8Array {
  const content = new Uint8Array(40);
  const view = viewOf(content);
  const numbers = [toc.offset, toc.compressedSize, toc.size, ZSTD_MANIFEST_TYPE];
  numbers.forEach((number, i) => view.setBigUint64(i * 8, BigInt(number), true));
  content.set(encodeUtf8("GnUlInUx"), 32);
  return encodeSkippableFrame(content);
}

/** Encodes a 64-byte footer with its frame: 72 bytes. Without tar-split data its place is zeros. */
export function encodeZstdFooterWithTarSplit(
  toc: CompressedRange,
  tarSplit: CompressedRange | undefined,
): Uint8Array {
  const content = new Uint8Array(64);
  const view = viewOf(content);
  const { offset = 0, compressedSize = 0, size = 0 } = tarSplit ?? {};
  const numbers = [
    toc.offset,
    toc.compressedSize,
    toc.size,
    ZSTD_MANIFEST_TYPE,
    offset,
    compressedSize,
    size,
  ];
  numbers.forEach((number, i) => view.setBigUint64(i * 8, BigInt(number), true));
  content.set(encodeUtf8("GNUlInUx"), 56);
  return encodeSkippableFrame(content);
}

/**
 * Decodes a zstd:chunked footer, or undefined if the tail does not end in one.
 *
 * @throws {EsgzError} `FOOTER_INVALID` if it is one whose numbers point outside the blob.
 */
export function decodeZstdFooter(tail: Uint8Array, blobSize: number): ZstdFooter | undefined {
  for (const { length, magicAt } of LAYOUTS) {
    const footerSize = SKIPPABLE_HEADER_SIZE + length;
    if (tail.length < footerSize) break;
    const frame = tail.subarray(tail.length - footerSize);
    if (!isSkippableFrame(frame, length)) continue;
    const content = frame.subarray(SKIPPABLE_HEADER_SIZE);
    if (MAGICS.includes(decodeUtf8(content.subarray(magicAt, magicAt + MAGIC_SIZE)))) {
      return positionsOf(content, { footerSize, end: blobSize - footerSize });
    }
  }
  return undefined;
}

/**
 * Decodes the annotations `manifest-position` and `tarsplit-position`, which say what the footer says.
 *
 * @param position `offset:compressedLength:length:type`
 * @param tarSplit `offset:compressedLength:length`
 * @throws {EsgzError} `FOOTER_INVALID` if they are malformed or point outside the blob.
 */
export function decodeZstdPosition(
  position: string,
  options: { readonly tarSplit?: string | undefined; readonly blobSize: number },
): ZstdFooter {
  const [offset, compressedSize, size, type] = numbersOf(position, 4);
  if (type !== ZSTD_MANIFEST_TYPE) throw invalid(`expected manifest type ${ZSTD_MANIFEST_TYPE}, got ${type}`);
  const toc = checkedRange({ offset, compressedSize, size }, options.blobSize);
  const footer = zstdFooter(toc, 0);
  if (options.tarSplit === undefined) return footer;
  const [splitOffset, splitCompressedSize, splitSize] = numbersOf(options.tarSplit, 3);
  const split = { offset: splitOffset, compressedSize: splitCompressedSize, size: splitSize };
  return { ...footer, tarSplit: checkedRange(split, options.blobSize) };
}

/** Compressed bytes in a blob. */
export interface CompressedRange {
  readonly offset: number;
  readonly compressedSize: number;
  /** Uncompressed bytes. */
  readonly size: number;
}

function isSkippableFrame(frame: Uint8Array, length: number): boolean {
  const view = viewOf(frame);
  return view.getUint32(0, true) === SKIPPABLE_MAGIC && view.getUint32(4, true) === length;
}

function positionsOf(content: Uint8Array, at: { footerSize: number; end: number }): ZstdFooter {
  const view = viewOf(content);
  const rangeAt = (index: number): CompressedRange => ({
    offset: Number(view.getBigUint64(index * 8, true)),
    compressedSize: Number(view.getBigUint64(index * 8 + 8, true)),
    size: Number(view.getBigUint64(index * 8 + 16, true)),
  });
  const type = view.getBigUint64(24, true);
  if (type !== BigInt(ZSTD_MANIFEST_TYPE)) {
    throw invalid(`expected manifest type ${ZSTD_MANIFEST_TYPE}, got ${type}`);
  }
  const footer = zstdFooter(checkedRange(rangeAt(0), at.end), at.footerSize);
  const split = content.length === 64 ? rangeAt(4) : undefined;
  if (split === undefined || split.offset === 0) return footer;
  return { ...footer, tarSplit: checkedRange(split, at.end) };
}

function zstdFooter(toc: CompressedRange, footerSize: number): ZstdFooter {
  return {
    kind: "zstd:chunked",
    tocOffset: toc.offset,
    tocCompressedSize: toc.compressedSize,
    tocSize: toc.size,
    footerSize,
  };
}

function checkedRange(range: CompressedRange, end: number): CompressedRange {
  const { offset, compressedSize, size } = range;
  const valid =
    [offset, compressedSize, size].every(Number.isSafeInteger) &&
    offset >= SKIPPABLE_HEADER_SIZE &&
    compressedSize > 0 &&
    size > 0 &&
    offset + compressedSize <= end;
  if (valid) return range;
  throw invalid(
    `expected a TOC inside ${end} bytes, got ${compressedSize} bytes (${size} uncompressed) at ${offset}`,
  );
}

function numbersOf(text: string, count: number): [number, number, number, number] {
  const parts = text.split(":");
  const valid = parts.length === count && parts.every((part) => /^[0-9]{1,16}$/.test(part));
  if (!valid) throw invalid(`expected ${count} numbers with colons between, got ${JSON.stringify(text)}`);
  const [a = 0, b = 0, c = 0, d = 0] = parts.map(Number);
  return [a, b, c, d];
}

function invalid(reason: string): EsgzError {
  return new EsgzError("FOOTER_INVALID", `Cannot decode zstd:chunked footer: ${reason}`);
}
