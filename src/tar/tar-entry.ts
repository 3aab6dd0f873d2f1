/**
 * What a tar stream says: entries, their content, and the bytes between them.
 *
 * @module
 */

/** The kinds of file that an entry can make. */
export type TarEntryType = "reg" | "dir" | "symlink" | "hardlink" | "char" | "block" | "fifo";

/** A time as tar keeps it, counted from 1970-01-01T00:00:00Z. */
export interface Timestamp {
  /** Whole seconds, rounded down; may be negative. */
  readonly seconds: number;
  /** 0 to 999,999,999, counted forward from `seconds`. */
  readonly nanoseconds: number;
}

/** A run of bytes of a sparse file that is stored; what lies between runs reads as zeros. */
export interface SparseSegment {
  /** Where the run lies in the file. */
  readonly offset: number;
  /** Its length in bytes, at least 1. */
  readonly size: number;
}

/** What tar knows about a file, apart from its content. */
export interface TarMetadata {
  /** The name, verbatim (`./`, a trailing slash, `..` and all), as text of `decodePathText`. */
  readonly name: string;
  readonly type: TarEntryType;
  /** The file's size in bytes, holes included; 0 for all types but `reg`. */
  readonly size: number;
  /** Permission bits with set-id and sticky, at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly userName: string;
  readonly groupName: string;
  readonly mtime: Timestamp;
  /** The target of a symlink or hardlink, verbatim, as text of `decodePathText`; else empty. */
  readonly linkName: string;
  /** The device number's parts for `char` and `block`; else 0. */
  readonly devMajor: number;
  readonly devMinor: number;
  /** Extended attributes by full name (`user.note`), values as bytes. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** An entry of a tar stream, with its place in it. */
export interface TarEntry extends TarMetadata {
  /** The tar offset of the entry's first block: of its PAX or GNU long name blocks, where it has them. */
  readonly headerOffset: number;
  /** The tar offset of the first stored byte of content, behind all header and sparse map blocks. */
  readonly dataOffset: number;
  /** Content bytes stored in the tar from `dataOffset` on: without holes, sparse map and padding. */
  readonly storedSize: number;
  /** The stored runs in order, when the file is stored sparse; their sizes add up to `storedSize`. */
  readonly sparse?: readonly SparseSegment[];
  /**
   * The tar's bytes from `headerOffset` to `dataOffset`, GNU sparse extension blocks and the map of PAX sparse 1.0
   * included. A view into the pushed chunk where it lies in one; copy it to keep it longer than the chunk.
   */
  readonly rawHeader: Uint8Array;
  /**
   * Whether `rawHeader` alone tells every reader what the entry is. False when a global PAX header contributed, and for
   * type 7 (contiguous), which many readers refuse: encode such entries anew.
   */
  readonly selfContained: boolean;
}

/**
 * A piece of a tar stream, in stream order. With the decoder's `sparse: "raw"`, the bytes of all events (an entry's are
 * its `rawHeader`) are exactly the stream. Bytes are read only, and views into the pushed chunk where possible.
 */
export type TarEvent =
  /** An entry begins. */
  | { readonly kind: "entry"; readonly entry: TarEntry }
  /** The next bytes of the last entry's content; never empty. */
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** The next raw bytes between an entry's content and the next block. */
  | { readonly kind: "padding"; readonly bytes: Uint8Array }
  /** Raw blocks that belong to no entry: a global PAX header with its records, or a GNU volume label. */
  | { readonly kind: "global"; readonly bytes: Uint8Array }
  /** The next raw bytes of the end of the archive and of whatever follows it. */
  | { readonly kind: "trailer"; readonly bytes: Uint8Array };
