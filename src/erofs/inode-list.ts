/**
 * Numbered inodes, as they are placed and written.
 *
 * @module
 */
import { NameList } from "./name-list.ts";
import { DIRECTORY_TYPE } from "./node-types.ts";

/** What is known of an inode before it has a place. */
export interface InodeFacts {
  /** The number of its type, as directory entries have it. */
  readonly type: number;
  /** What it states as its size in bytes; 0 for a directory, whose size depends on its names. */
  readonly size: number;
  /** The format of a file's chunks, or which device a device file means; 0 for others. */
  readonly field: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array> | undefined;
}

/**
 * Inodes by number: the root is 0, the inodes of one directory follow each other. A directory's entries, with `.` and
 * `..`, are consecutive in `names` and `entryInodes`, in the byte order of the names.
 */
export class InodeList {
  readonly types: number[] = [];
  readonly sizes: number[] = [];
  readonly fields: number[] = [];
  readonly xattrs: (ReadonlyMap<string, Uint8Array> | undefined)[] = [];
  /** The number of names, and for directories 2 + the number of subdirectories. */
  readonly linkCounts: number[] = [];
  /** The names of all entries of all directories. */
  readonly names: NameList = new NameList();
  /** For each entry the number of its inode. */
  readonly entryInodes: number[] = [];
  /** For each inode that is a directory the first of its entries; -1 for others. */
  readonly firstEntries: number[] = [];
  /** For each inode that is a directory the number of its entries; 0 for others. */
  readonly entryCounts: number[] = [];

  /** Inodes so far. */
  get count(): number {
    return this.types.length;
  }

  /** Adds an inode without a name; returns its number. */
  add({ type, size, field, xattrs }: InodeFacts): number {
    const inode = this.types.length;
    this.types.push(type);
    this.sizes.push(size);
    this.fields.push(field);
    this.xattrs.push(xattrs);
    this.linkCounts.push(type === DIRECTORY_TYPE ? 2 : 0);
    this.firstEntries.push(-1);
    this.entryCounts.push(0);
    return inode;
  }

  /** Counts one more name of a file, or one more directory in a directory. */
  addLink(inode: number): void {
    this.linkCounts[inode] = (this.linkCounts[inode] ?? 0) + 1;
  }

  /** Notes which entries are those of a directory: from `first` to the last one. */
  setEntries(directory: number, first: number): void {
    this.firstEntries[directory] = first;
    this.entryCounts[directory] = this.entryInodes.length - first;
  }
}

/** Where the parts of inodes come from that do not depend on their places. */
export interface InodeContents {
  /** Writes mode, owner and time into the record at `offset`. */
  writeAttributes(inode: number, image: ImageMemory, offset: number): void;
  /** Writes the chunk indexes of a file, or the text of a symlink, at `offset`. */
  writeBody(inode: number, image: ImageMemory, offset: number): void;
}

/** The bytes of an image, in units of 1 and of 4. */
export class ImageMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** In the byte order of this machine: good for copying. */
  readonly words: Uint32Array;

  /** @param bytes an image; kept if it begins at a multiple of 4 in its buffer, else copied. What does not fill a word is no word */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.words = new Uint32Array(buffer, byteOffset, Math.floor(byteLength / 4));
  }
}
