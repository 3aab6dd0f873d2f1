/**
 * What a table of contents says about one file, after it has been checked.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import type { TarMetadata } from "../tar/index.ts";

/** A piece of a file, and where in the blob it lies. */
export interface Chunk {
  /** Where the piece begins in the file. */
  readonly fileOffset: number;
  /** Its uncompressed bytes, at least 1. */
  readonly size: number;
  /** The digest of its uncompressed bytes. Every `data` chunk of an `Archive` has one. */
  readonly digest?: Digest | undefined;
  /** `zeros` is a hole: it has no bytes in the blob, and its offsets mean nothing. */
  readonly kind: "data" | "zeros";
  /** The blob offset of the compressed member that holds the piece. */
  readonly blobOffset: number;
  /** The blob offset behind that member and all that belongs to it: where the next one begins, or the payload ends. */
  readonly blobEnd: number;
  /** Where the piece begins in the uncompressed member. */
  readonly innerOffset: number;
}

/** One entry of a table of contents. */
export interface TocEntry extends Omit<TarMetadata, "name" | "linkName"> {
  /** The cleaned path; `""` is the root. */
  readonly path: string;
  /** The name as the TOC has it. */
  readonly name: string;
  /** The cleaned path of a hardlink's target; the verbatim text of a symlink; else empty. */
  readonly linkName: string;
  /** The digest of the whole file, where the TOC has it. */
  readonly digest?: Digest | undefined;
  /** The pieces of a `reg`, in file order, covering `size` exactly; none for all else. */
  readonly chunks: readonly Chunk[];
}
