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

const FIRST_CAPACITY = 1024;

/**
 * Inodes by number: the root is 0, the inodes of one directory follow each other. A directory's entries, with `.` and
 * `..`, are consecutive in `names` and `entryInodes`, in the byte order of the names.
 */
export class InodeList {
  /** Inodes so far. Of the arrays by inode number, only so many elements count. */
  count = 0;
  /** Entries so far. */
  entryCount = 0;
  types: Uint8Array = new Uint8Array(FIRST_CAPACITY);
  sizes: Float64Array = new Float64Array(FIRST_CAPACITY);
  fields: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  /** The number of names, and for directories 2 + the number of subdirectories. */
  linkCounts: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  /** For each inode that is a directory the first of its entries. */
  firstEntries: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  /** For each inode that is a directory the number of its entries; 0 for others. */
  entryCounts: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  /** For each entry the number of its inode. */
  entryInodes: Uint32Array = new Uint32Array(FIRST_CAPACITY);
  /** The names of all entries of all directories. */
  readonly names: NameList = new NameList();
  /** Of the inodes that have some, in their order. */
  readonly xattrs: Map<number, ReadonlyMap<string, Uint8Array>> = new Map();

  /** Adds an inode without a name; returns its number. */
  add({ type, size, field, xattrs }: InodeFacts): number {
    const inode = this.count;
    if (inode === this.types.length) this.#grow();
    this.types[inode] = type;
    this.sizes[inode] = size;
    this.fields[inode] = field;
    if (type === DIRECTORY_TYPE) this.linkCounts[inode] = 2;
    if (xattrs !== undefined && xattrs.size > 0) this.xattrs.set(inode, xattrs);
    this.count = inode + 1;
    return inode;
  }

  /** Adds an entry of the directory whose entries are being added; its name is the next one in `names`. */
  addEntry(inode: number): void {
    if (this.entryCount === this.entryInodes.length) this.entryInodes = grown32(this.entryInodes);
    this.entryInodes[this.entryCount] = inode;
    this.entryCount += 1;
  }

  /** Counts one more name of a file, or one more directory in a directory. */
  addLink(inode: number): void {
    this.linkCounts[inode] = (this.linkCounts[inode] ?? 0) + 1;
  }

  /** Notes which entries are those of a directory: from `first` to the last one. */
  setEntries(directory: number, first: number): void {
    this.firstEntries[directory] = first;
    this.entryCounts[directory] = this.entryCount - first;
  }

  #grow(): void {
    const types = new Uint8Array(this.count * 2);
    types.set(this.types);
    this.types = types;
    const sizes = new Float64Array(this.count * 2);
    sizes.set(this.sizes);
    this.sizes = sizes;
    this.fields = grown32(this.fields);
    this.linkCounts = grown32(this.linkCounts);
    this.firstEntries = grown32(this.firstEntries);
    this.entryCounts = grown32(this.entryCounts);
  }
}

function grown32(array: Uint32Array): Uint32Array {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
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
    // Not `slice()`: of a Buffer that is no copy.
    this.bytes = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
    const { buffer, byteOffset, byteLength } = this.bytes;
    this.view = new DataView(buffer, byteOffset, byteLength);
    this.words = new Uint32Array(buffer, byteOffset, Math.floor(byteLength / 4));
  }
}
