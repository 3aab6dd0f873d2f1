/**
 * The extended attributes of an image that is merged: what is shown of them, and what the marks among them say.
 *
 * @module
 */
import { EXTENDED_INODE_SIZE, NODE_SLOT_SIZE } from "./disk-layout.ts";
import type { SourceImage } from "./source-image.ts";

/** What the marks of a directory say. */
export interface DirectoryMarks {
  /** Lower images add nothing to the content. */
  readonly opaque: boolean;
  /** No entry describes it: what lower images say of it holds. */
  readonly implied: boolean;
}

/** Extended attributes, told apart. */
export interface SplitXattrs extends DirectoryMarks {
  /** Those that are no marks. */
  readonly shown: ReadonlyMap<string, Uint8Array>;
  /** Of a character device 0:0: it is a hard link to a file of an image below, and this says where. */
  readonly link?: string | undefined;
}

/** Tells what is a mark of a directory from what is shown. */
export type ReadMarks = (xattrs: ReadonlyMap<string, Uint8Array>) => SplitXattrs;

/** Attributes of more bytes are seldom those of many inodes. */
const MAX_KNOWN_SIZE = 256;
const NO_MARKS: DirectoryMarks = { opaque: false, implied: false };

/** The extended attributes of one image; inodes with equal ones share a map. */
export class LayerXattrs {
  readonly #layer: SourceImage;
  readonly #readMarks: ReadMarks;
  readonly #known = new Map<string, SplitXattrs>();

  constructor(layer: SourceImage, readMarks: ReadMarks) {
    this.#layer = layer;
    this.#readMarks = readMarks;
  }

  /** The marks of a directory. */
  marksOf(nid: number): DirectoryMarks {
    return this.#split(nid) ?? NO_MARKS;
  }

  /** What is shown of an inode's attributes; undefined for nothing. */
  xattrsOf(nid: number): ReadonlyMap<string, Uint8Array> | undefined {
    return this.#split(nid)?.shown;
  }

  /** Where the file is that a hard link into an image below means; undefined for what is none. */
  linkOf(nid: number): string | undefined {
    return this.#split(nid)?.link;
  }

  #split(nid: number): SplitXattrs | undefined {
    const record = nid * NODE_SLOT_SIZE;
    const start = record + EXTENDED_INODE_SIZE;
    const end = this.#layer.bodyOf(record);
    if (end === start) return undefined;
    if (end - start > MAX_KNOWN_SIZE) return this.#read(nid);
    // Two inodes with the same bytes here have the same attributes.
    const key = this.#layer.textAt(start, end);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const split = this.#read(nid);
    this.#known.set(key, split);
    return split;
  }

  #read(nid: number): SplitXattrs {
    return this.#readMarks(this.#layer.xattrsOf(nid) ?? new Map());
  }
}
