/**
 * The footers of eStargz, of stargz, and of eStargz with an external TOC.
 *
 * Each is a gzip member that inflates to nothing and carries its content in the Extra field, so a tool that knows only
 * gzip reads straight past it:
 *
 *     eStargz  stargz  external
 *          10      10        10   gzip header, with the FEXTRA flag
 *           2       2         2   XLEN = 26 | 22 | 21, little-endian
 *           4       -         4   subfield header: "SG", then its length 22 | 17, little-endian
 *          16      16         -   hex digits of the TOC offset
 *           6       6         -   "STARGZ"
 *           -       -        17   "STARGZEXTERNALTOC"
 *           5       5         5   an empty, final, stored deflate block
 *           8       8         8   CRC-32 and length of the (empty) content
 *          --      --        --
 *          51      47        46
 *
 * Source: eStargz specification, "Footer"; the legacy layout is that of CRFS.
 *
 * @module
 */
import { concatBytes, decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";

/** eStargz, or the older stargz: the TOC is the gzip member between `tocOffset` and the footer. */
export interface GzipFooter {
  readonly kind: "estargz" | "stargz";
  readonly tocOffset: number;
  readonly footerSize: number;
}

/** eStargz whose TOC is kept in another image. */
export interface ExternalFooter {
  readonly kind: "external";
  readonly footerSize: number;
}

/** Bytes of an eStargz footer. */
export const ESTARGZ_FOOTER_SIZE = 51;
/** Bytes of a legacy stargz footer. */
export const STARGZ_FOOTER_SIZE = 47;
/** Bytes of the footer of an eStargz layer whose TOC is elsewhere. */
export const EXTERNAL_FOOTER_SIZE = 46;

const GZIP_HEADER = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff] as const;
const ESTARGZ_PREFIX = Uint8Array.of(...GZIP_HEADER, 26, 0, 0x53, 0x47, 22, 0);
const STARGZ_PREFIX = Uint8Array.of(...GZIP_HEADER, 22, 0);
const EXTERNAL_PREFIX = Uint8Array.of(...GZIP_HEADER, 21, 0, 0x53, 0x47, 17, 0);
const EMPTY_CONTENT = Uint8Array.of(1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0);
const EXTERNAL_MAGIC = "STARGZEXTERNALTOC";
const POINTER = /^([0-9a-fA-F]{16})STARGZ$/;
const POINTER_SIZE = 16 + "STARGZ".length;

/**
 * Encodes the footer of an eStargz blob.
 *
 * @throws {EsgzError} `INTERNAL` if `tocOffset` is not a whole number of bytes, zero or more.
 */
export function encodeEstargzFooter(tocOffset: number): Uint8Array {
  if (!Number.isSafeInteger(tocOffset) || tocOffset < 0) {
    throw new EsgzError(
      "INTERNAL",
      `Cannot encode eStargz footer: expected an offset of 0 or more, got ${tocOffset}`,
    );
  }
  const pointer = `${tocOffset.toString(16).padStart(16, "0")}STARGZ`;
  return concatBytes([ESTARGZ_PREFIX, encodeUtf8(pointer), EMPTY_CONTENT]);
}

/** Encodes the footer of an eStargz blob whose TOC is kept elsewhere. */
export function encodeExternalFooter(): Uint8Array {
  return concatBytes([EXTERNAL_PREFIX, encodeUtf8(EXTERNAL_MAGIC), EMPTY_CONTENT]);
}

/**
 * Decodes a gzip footer, or undefined if the tail does not end in one.
 *
 * @throws {EsgzError} `FOOTER_INVALID` if it is one whose content is broken.
 */
export function decodeGzipFooter(
  tail: Uint8Array,
  blobSize: number,
): GzipFooter | ExternalFooter | undefined {
  const estargz = contentAfter(tail, ESTARGZ_PREFIX, ESTARGZ_FOOTER_SIZE);
  if (estargz !== undefined) {
    return {
      kind: "estargz",
      tocOffset: pointerOf(estargz, blobSize - ESTARGZ_FOOTER_SIZE),
      footerSize: ESTARGZ_FOOTER_SIZE,
    };
  }
  const stargz = contentAfter(tail, STARGZ_PREFIX, STARGZ_FOOTER_SIZE);
  if (stargz !== undefined) {
    return {
      kind: "stargz",
      tocOffset: pointerOf(stargz, blobSize - STARGZ_FOOTER_SIZE),
      footerSize: STARGZ_FOOTER_SIZE,
    };
  }
  const external = contentAfter(tail, EXTERNAL_PREFIX, EXTERNAL_FOOTER_SIZE);
  if (external === undefined) return undefined;
  const magic = decodeUtf8(external.subarray(0, EXTERNAL_MAGIC.length));
  if (magic !== EXTERNAL_MAGIC) throw invalid(`expected ${EXTERNAL_MAGIC}, got ${JSON.stringify(magic)}`);
  return { kind: "external", footerSize: EXTERNAL_FOOTER_SIZE };
}

/** What follows the prefix of a footer of `size` bytes at the end of the tail, if the prefix is there. */
function contentAfter(tail: Uint8Array, prefix: Uint8Array, size: number): Uint8Array | undefined {
  const start = tail.length - size;
  if (start < 0) return undefined;
  const footer = tail.subarray(start);
  if (!prefix.every((byte, i) => byte === footer[i] || isUnspecified(i))) return undefined;
  const content = footer.subarray(prefix.length, size - EMPTY_CONTENT.length);
  const rest = footer.subarray(size - EMPTY_CONTENT.length);
  return EMPTY_CONTENT.every((byte, i) => byte === rest[i]) ? content : undefined;
}

function pointerOf(content: Uint8Array, end: number): number {
  const text = decodeUtf8(content.subarray(0, POINTER_SIZE));
  const offset = Number.parseInt(POINTER.exec(text)?.[1] ?? "", 16);
  if (!Number.isSafeInteger(offset)) {
    throw invalid(`expected 16 hex digits and "STARGZ", got ${JSON.stringify(text)}`);
  }
  if (offset >= end) throw invalid(`expected a TOC in front of ${end}, got offset ${offset}`);
  return offset;
}

/** Whether writers may differ here: gzip's MTIME, XFL and OS carry no meaning for us. */
function isUnspecified(index: number): boolean {
  return index >= 4 && index < GZIP_HEADER.length;
}

function invalid(reason: string): EsgzError {
  return new EsgzError("FOOTER_INVALID", `Cannot decode footer: ${reason}`);
}
