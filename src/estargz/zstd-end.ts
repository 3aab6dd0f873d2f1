/**
 * What follows the frames of a zstd:chunked layer, in the words of either family of readers.
 *
 *     stargz       skippable frame: TOC |                              skippable frame: 40-byte footer
 *     containers   skippable frame: TOC | skippable frame: tar-split | skippable frame: 64-byte footer
 *
 * No layer can speak both: containers-storage refuses one that has its own annotations beside `toc.digest`, without which
 * stargz-snapshotter does not mount a layer; and each looks for a footer of its own.
 *
 * @module
 */
import { hash } from "node:crypto";
import { ANNOTATIONS, type AnnotationMap } from "../oci/index.ts";
import type { CompressedPart } from "./tar-split-frames.ts";
import {
  type CompressedRange,
  encodeSkippableFrame,
  encodeZstdFooter,
  encodeZstdFooterWithTarSplit,
  SKIPPABLE_HEADER_SIZE,
  ZSTD_MANIFEST_TYPE,
} from "./zstd-footer.ts";

/** Whose zstd:chunked: stargz-snapshotter's, or containers-storage's (Podman, Buildah, skopeo, CRI-O). */
export type ZstdDialect = "stargz" | "containers";

/** The end of a blob. */
export interface ZstdEnd {
  readonly parts: readonly Uint8Array[];
  /** What the layer's descriptor has to say of it. */
  readonly annotations: AnnotationMap;
}

/** What the end of a blob is made of. */
export interface ZstdEndOptions {
  readonly dialect: ZstdDialect;
  /** Where it begins in the blob. */
  readonly blobOffset: number;
  readonly toc: CompressedPart;
  /** Only in the dialect `containers`. */
  readonly tarSplit?: CompressedPart | undefined;
}

/** Encodes the end of a blob. */
export function encodeZstdEnd({ dialect, blobOffset, toc, tarSplit }: ZstdEndOptions): ZstdEnd {
  const checksum = `sha256:${hash("sha256", toc.bytes, "hex")}`;
  const tocRange = rangeOf(toc, blobOffset);
  const { offset, compressedSize, size } = tocRange;
  const position = [offset, compressedSize, size, ZSTD_MANIFEST_TYPE].join(":");
  const early = {
    [ANNOTATIONS.zstdChecksumStargz]: checksum,
    [ANNOTATIONS.zstdPositionStargz]: position,
  };
  const parts = [encodeSkippableFrame(toc.bytes)];
  if (dialect === "stargz") return { parts: [...parts, encodeZstdFooter(tocRange)], annotations: early };
  const splitRange = tarSplit === undefined ? undefined : rangeOf(tarSplit, offset + compressedSize);
  if (tarSplit !== undefined) parts.push(encodeSkippableFrame(tarSplit.bytes));
  parts.push(encodeZstdFooterWithTarSplit(tocRange, splitRange));
  const annotations = {
    // containers-storage up to 1.43 (Podman 4.3) knows only these; later versions pass over them.
    ...early,
    [ANNOTATIONS.zstdChecksum]: checksum,
    [ANNOTATIONS.zstdPosition]: position,
    ...(splitRange === undefined ? {} : { [ANNOTATIONS.zstdTarSplitPosition]: textOf(splitRange) }),
  };
  return { parts, annotations };
}

/** Where the content of a skippable frame lies that begins at `frameOffset`. */
function rangeOf({ bytes, size }: CompressedPart, frameOffset: number): CompressedRange {
  return { offset: frameOffset + SKIPPABLE_HEADER_SIZE, compressedSize: bytes.length, size };
}

function textOf({ offset, compressedSize, size }: CompressedRange): string {
  return [offset, compressedSize, size].join(":");
}
