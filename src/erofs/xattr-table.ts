/**
 * Extended attributes as they are written: what several inodes have in common goes to the shared area.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { alignUp, XATTR_ENTRY_SIZE, XATTR_HEADER_SIZE } from "./disk-layout.ts";
import type { InodeList } from "./inode-list.ts";
import { splitXattrName, type SplitXattrName } from "./xattr-name.ts";

/** An inode names at most this many shared entries: the count has one byte. */
const SHARED_LIMIT = 255;

/** Values have a 16-bit size. */
const VALUE_LIMIT = 0xffff;

/** The xattr count has 16 bits and counts units of 4 bytes, the header as one. */
const BODY_LIMIT: number = XATTR_HEADER_SIZE + 4 * (0xffff - 1);

/** A name with a value. */
interface XattrEntry {
  readonly name: SplitXattrName;
  readonly value: Uint8Array;
  readonly size: number;
  readonly number: number;
  uses: number;
  /** Where it lies in the shared area; -1 if it is not shared. */
  sharedOffset: number;
}

/** The xattrs of one inode, or of several that have the same. */
interface XattrBody {
  readonly number: number;
  readonly entries: readonly XattrEntry[];
  // What follows is known when all uses of all entries have been counted.
  shared: readonly XattrEntry[];
  inline: readonly XattrEntry[];
  size: number;
}

/** What to do with names that EROFS cannot store. */
export type ForeignXattrs = "reject" | "skip";

/** The xattrs of all inodes, by inode number. */
export class XattrTable {
  /** Inodes with equal xattrs have one body. */
  readonly #bodies = new Map<string, XattrBody>();
  /** By number; there is no 0. */
  readonly #numbered: (XattrBody | undefined)[] = [undefined];
  /** For each inode the number of its body; 0 for none. */
  readonly #bodyNumbers: Uint32Array;
  /** Of maps that were there before: many inodes share one. */
  readonly #bodyOfMap = new Map<ReadonlyMap<string, Uint8Array>, XattrBody | undefined>();
  readonly #entries = new Map<string, XattrEntry>();
  readonly #names = new Map<string, SplitXattrName | undefined>();
  readonly #skipped = new Set<string>();
  #sharedSize = 0;

  /** Bytes in the shared area. */
  get sharedSize(): number {
    return this.#sharedSize;
  }

  /** The names that were left out, each once. */
  get skippedNames(): readonly string[] {
    return [...this.#skipped];
  }

  constructor(
    { count, xattrs }: Pick<InodeList, "count" | "xattrs">,
    options: { readonly foreign: ForeignXattrs },
  ) {
    this.#bodyNumbers = new Uint32Array(count);
    for (const [inode, map] of xattrs) {
      const body = this.#bodyFor(map, options.foreign);
      if (body !== undefined) this.#bodyNumbers[inode] = body.number;
    }
    this.#placeShared();
    for (const body of this.#bodies.values()) layOut(body);
  }

  /** Bytes between an inode and its data. */
  sizeOf(inode: number): number {
    return this.#numbered[this.#bodyNumbers[inode] ?? 0]?.size ?? 0;
  }

  /** Writes the xattrs of an inode at `offset`, behind its record. */
  write(inode: number, view: DataView, offset: number): void {
    const body = this.#numbered[this.#bodyNumbers[inode] ?? 0];
    if (body === undefined) return;
    view.setUint8(offset + 4, body.shared.length);
    let at = offset + XATTR_HEADER_SIZE;
    for (const { sharedOffset } of body.shared) {
      view.setUint32(at, sharedOffset / XATTR_ENTRY_SIZE, true);
      at += 4;
    }
    for (const entry of body.inline) at = writeEntry(view, at, entry);
  }

  /** Writes the shared area at `offset`. */
  writeShared(view: DataView, offset: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.sharedOffset >= 0) writeEntry(view, offset + entry.sharedOffset, entry);
    }
  }

  #bodyFor(xattrs: ReadonlyMap<string, Uint8Array>, foreign: ForeignXattrs): XattrBody | undefined {
    const known = this.#bodyOfMap.get(xattrs);
    if (known === undefined) {
      const body = this.#body(this.#collect(xattrs, foreign));
      this.#bodyOfMap.set(xattrs, body);
      return body;
    }
    for (const entry of known.entries) entry.uses += 1;
    return known;
  }

  #collect(xattrs: ReadonlyMap<string, Uint8Array>, foreign: ForeignXattrs): XattrEntry[] {
    const entries: XattrEntry[] = [];
    for (const [name, value] of xattrs) {
      const split = this.#split(name);
      if (split !== undefined) entries.push(this.#entry(name, split, value));
      else if (foreign === "skip") this.#skipped.add(name);
      else throw invalid(name, "a name that EROFS can store");
    }
    return entries;
  }

  #split(name: string): SplitXattrName | undefined {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    const split = splitXattrName(name);
    this.#names.set(name, split);
    return split;
  }

  #entry(name: string, split: SplitXattrName, value: Uint8Array): XattrEntry {
    if (value.length > VALUE_LIMIT) throw invalid(name, `at most ${VALUE_LIMIT} bytes`);
    const key = `${name}\0${Buffer.from(value.buffer, value.byteOffset, value.length).toString("latin1")}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      const size = alignUp(XATTR_ENTRY_SIZE + split.suffix.length + value.length, XATTR_ENTRY_SIZE);
      entry = { name: split, value, size, number: this.#entries.size, uses: 0, sharedOffset: -1 };
      this.#entries.set(key, entry);
    }
    entry.uses += 1;
    return entry;
  }

  #body(entries: readonly XattrEntry[]): XattrBody | undefined {
    if (entries.length === 0) return undefined;
    const key = entries.map(({ number }) => number).join();
    const known = this.#bodies.get(key);
    if (known !== undefined) return known;
    const number = this.#numbered.length;
    const body: XattrBody = { number, entries, shared: [], inline: [], size: 0 };
    this.#bodies.set(key, body);
    this.#numbered.push(body);
    return body;
  }

  #placeShared(): void {
    for (const entry of this.#entries.values()) {
      if (entry.uses < 2) continue;
      entry.sharedOffset = this.#sharedSize;
      this.#sharedSize += entry.size;
    }
  }
}

/** Decides which entries of a body are named by id and which follow it. */
function layOut(body: XattrBody): void {
  const shareable = body.entries.filter(({ sharedOffset }) => sharedOffset >= 0);
  body.shared = shareable.slice(0, SHARED_LIMIT);
  body.inline = [
    ...body.entries.filter(({ sharedOffset }) => sharedOffset < 0),
    ...shareable.slice(SHARED_LIMIT),
  ];
  body.size = XATTR_HEADER_SIZE + 4 * body.shared.length;
  for (const entry of body.inline) body.size += entry.size;
  if (body.size <= BODY_LIMIT) return;
  const text = `Cannot compile extended attributes: expected at most ${BODY_LIMIT} bytes for one inode, got ${body.size}`;
  throw new EsgzError("EROFS_INVALID", text);
}

function writeEntry(view: DataView, offset: number, entry: XattrEntry): number {
  const { suffix, prefix } = entry.name;
  view.setUint8(offset, suffix.length);
  view.setUint8(offset + 1, prefix);
  view.setUint16(offset + 2, entry.value.length, true);
  const image = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  image.set(suffix, offset + XATTR_ENTRY_SIZE);
  image.set(entry.value, offset + XATTR_ENTRY_SIZE + suffix.length);
  return offset + entry.size;
}

function invalid(name: string, wanted: string): EsgzError {
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot compile extended attribute ${JSON.stringify(name)}: expected ${wanted}`,
  );
}
