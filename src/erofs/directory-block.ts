/**
 * One block of directory entries, as it is read.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { compareBytes } from "./compare-bytes.ts";
import { DIRENT_SIZE, NAME_LIMIT } from "./disk-layout.ts";
import type { ErofsNodeType } from "./erofs-node.ts";
import { typeFromDirent } from "./node-types.ts";
import { readUint64 } from "./uint64.ts";

const SLASH = 0x2f;

/** Entries in the byte order of their names. Nothing is decoded before it is asked for. */
export class DirectoryBlock {
  /** The number of entries, at least 1. */
  readonly count: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  /**
   * @param bytes the block, or what there is of it at the end of a directory; kept, not copied.
   * @throws {EsgzError} `EROFS_INVALID` if there is no room for an entry.
   */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    if (bytes.length <= DIRENT_SIZE) throw invalid("an entry", `${bytes.length} bytes`);
    const names = this.#view.getUint16(8, true);
    if (names < DIRENT_SIZE || names % DIRENT_SIZE !== 0 || names >= bytes.length)
      throw invalid("names", `offset ${names}`);
    this.count = names / DIRENT_SIZE;
  }

  /** The node id of an entry. */
  nid(index: number): number {
    return readUint64(this.#view, index * DIRENT_SIZE);
  }

  /**
   * The type of an entry.
   *
   * @throws {EsgzError} `EROFS_INVALID` for a number without meaning.
   */
  type(index: number): ErofsNodeType {
    const number = this.#view.getUint8(index * DIRENT_SIZE + 10);
    const type = typeFromDirent(number);
    if (type === undefined) throw invalid("a type", `${number}`);
    return type;
  }

  /**
   * The name of an entry, as a view.
   *
   * @throws {EsgzError} `EROFS_INVALID` for a name that is empty, too long, outside the block, or not a name.
   */
  name(index: number): Uint8Array {
    const start = this.#view.getUint16(index * DIRENT_SIZE + 8, true);
    const isLast = index + 1 === this.count;
    let end = isLast ? this.#bytes.length : this.#view.getUint16((index + 1) * DIRENT_SIZE + 8, true);
    if (start < this.count * DIRENT_SIZE || end > this.#bytes.length)
      throw invalid("a name in its block", `one at ${start}`);
    const zero = isLast ? this.#bytes.indexOf(0, start) : -1;
    if (zero >= 0) end = zero;
    if (start >= end || end - start > NAME_LIMIT)
      throw invalid(`1 to ${NAME_LIMIT} bytes`, `a name of ${end - start}`);
    const name = this.#bytes.subarray(start, end);
    for (const byte of name)
      if (byte === 0 || byte === SLASH) throw invalid("a name", "one with a slash or zero byte");
    return name;
  }

  /** The entry of a name, or the bitwise complement (below 0) of the one it would come before. */
  find(name: Uint8Array): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = compareBytes(this.name(middle), name);
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return ~low;
  }
}

function invalid(wanted: string, found: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read directory: expected ${wanted}, got ${found}`);
}
