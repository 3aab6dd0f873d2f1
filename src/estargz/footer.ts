/**
 * The footer: the last bytes of a seekable layer, which say where its table of contents is.
 *
 * Which of the layouts a blob has is decided by structure, from one read of its tail: the gzip layouts begin with a gzip
 * header at a known distance from the end (`gzip-footer.ts`), the zstd layouts with a skippable frame
 * (`zstd-footer.ts`).
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import {
  decodeGzipFooter,
  ESTARGZ_FOOTER_SIZE,
  type ExternalFooter,
  type GzipFooter,
} from "./gzip-footer.ts";
import { decodeZstdFooter, ZSTD_MAX_FOOTER_SIZE, type ZstdFooter } from "./zstd-footer.ts";

/** Where the table of contents is. Offsets are of the blob; all ranges lie inside it, in front of the footer. */
export type Footer = GzipFooter | ExternalFooter | ZstdFooter;

/** The longest footer of any layout. */
export const MAX_FOOTER_SIZE: number = Math.max(ESTARGZ_FOOTER_SIZE, ZSTD_MAX_FOOTER_SIZE);

/**
 * Decodes the footer at the end of a blob.
 *
 * @param tail the last bytes of the blob; {@linkcode MAX_FOOTER_SIZE} of them are always enough
 * @throws {EsgzError} `FOOTER_INVALID` if the blob does not end in a footer of a known layout, or if the footer points
 * outside the blob.
 */
export function decodeFooter(tail: Uint8Array, blobSize: number): Footer {
  const footer = decodeGzipFooter(tail, blobSize) ?? decodeZstdFooter(tail, blobSize);
  if (footer !== undefined) return footer;
  throw new EsgzError(
    "FOOTER_INVALID",
    "Cannot decode footer: expected the footer of eStargz, stargz or zstd:chunked, got other bytes",
  );
}
