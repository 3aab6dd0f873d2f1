/**
 * What the decoder accepts from a foreign tar before it takes memory or time for it.
 *
 * @module
 */

/** Bounds of a tar stream; passing one is `LIMIT_EXCEEDED`. */
export interface TarLimits {
  /** Bytes of records in one PAX header. */
  readonly maxPaxBytes: number;
  /** Bytes of all global PAX records in effect; each entry of 512 bytes may take them all up again. */
  readonly maxGlobalBytes: number;
  /** Bytes of all blocks of one entry's header, its extension headers and sparse map included. */
  readonly maxHeaderBytes: number;
  /** Bytes of a name or link target. */
  readonly maxPathBytes: number;
  /** Stored runs of one sparse file. */
  readonly maxSparseSegments: number;
  /** Zeros made from the holes of all sparse files of the archive; not counted with `sparse: "raw"`. */
  readonly maxHoleBytes: number;
}

/**
 * The limits where none are given. A PAX header of 1 MiB is also Go's bound; paths may be 4 times Linux's `PATH_MAX`;
 * 8 MiB of header hold the largest sparse map allowed, in every format.
 */
export const DEFAULT_TAR_LIMITS: TarLimits = {
  maxPaxBytes: 1024 * 1024,
  maxGlobalBytes: 16 * 1024,
  maxHeaderBytes: 8 * 1024 * 1024,
  maxPathBytes: 4 * 4096,
  maxSparseSegments: 128 * 1024,
  maxHoleBytes: 64 * 1024 * 1024 * 1024,
};
