/**
 * The names of all directory entries, as bytes in one growing array.
 *
 * @module
 */
import { decodePathText, encodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { compareBytes } from "./compare-bytes.ts";
import { NAME_LIMIT } from "./disk-layout.ts";

/** Below U+D800 the order of UTF-16 units is the order of UTF-8 bytes, and no bytes are escaped. */
const NEEDS_BYTE_ORDER = /[\ud800-\uffff]/;
const SLASH = 0x2f;
const DOTS: readonly string[] = [".", ".."];

/** Names by number, in the order in which they were added. */
export class NameList {
  #bytes = new Uint8Array(16 * 1024);
  #ends = new Uint32Array(1024);
  #count = 0;

  /** Bytes in a name. */
  sizeOf(index: number): number {
    return this.#end(index) - this.#end(index - 1);
  }

  /** The text of a name. */
  textOf(index: number): string {
    return decodePathText(this.#bytes.slice(this.#end(index - 1), this.#end(index)));
  }

  /** Writes a name to `target`; returns the offset behind it. */
  copy(index: number, target: Uint8Array, offset: number): number {
    const start = this.#end(index - 1);
    const size = this.#end(index) - start;
    const bytes = this.#bytes;
    // For names of this length a loop is faster than a view.
    for (let i = 0; i < size; i += 1) target[offset + i] = bytes[start + i] ?? 0;
    return offset + size;
  }

  /** Adds a name that was checked: `source` from `start` to `end`. */
  addFrom(source: Uint8Array, start: number, end: number): void {
    const target = this.#end(this.#count - 1);
    const size = end - start;
    this.#reserve(target + size);
    for (let i = 0; i < size; i += 1) this.#bytes[target + i] = source[start + i] ?? 0;
    this.#push(target + size);
  }

  /**
   * Adds the names of one directory, with `.` and `..`.
   *
   * @returns the names in the byte order in which they were added.
   * @throws {EsgzError} `EROFS_INVALID` for a name that is empty, longer than 255 bytes, `.`, `..` or there twice, or
   * has a slash or zero byte.
   */
  addSorted(names: Iterable<string>): readonly string[] {
    const sorted = [...names];
    for (const name of sorted) if (name === "." || name === "..") throw invalid(name, "is reserved");
    sortNames(sorted);
    const first = this.#count;
    for (const name of sorted) {
      if (this.#add(name)) continue;
      this.#count = first;
      return this.#addByBytes(sorted);
    }
    return sorted;
  }

  /** Adds names, some of which sort as bytes in another order than as text. */
  #addByBytes(names: readonly string[]): readonly string[] {
    const encoded = names.map((name) => ({ name, bytes: encodePathText(name) }));
    encoded.sort((a, b) => compareBytes(a.bytes, b.bytes));
    let previous: Uint8Array | undefined;
    for (const { name, bytes } of encoded) {
      // Different texts can stand for the same bytes.
      if (previous !== undefined && compareBytes(previous, bytes) === 0)
        throw invalid(name, "is there twice");
      this.#addBytes(bytes, name);
      previous = bytes;
    }
    return encoded.map(({ name }) => name);
  }

  /** Adds a name, unless it sorts as bytes in another order than as text. */
  #add(name: string): boolean {
    const start = this.#end(this.#count - 1);
    const size = name.length;
    this.#reserve(start + size);
    const bytes = this.#bytes;
    for (let i = 0; i < size; i += 1) {
      const unit = name.charCodeAt(i);
      if (unit >= 0x80) {
        if (NEEDS_BYTE_ORDER.test(name)) return false;
        this.#addBytes(encodePathText(name), name);
        return true;
      }
      if (unit === SLASH || unit === 0) throw invalid(name, "has a slash or zero byte");
      bytes[start + i] = unit;
    }
    this.#finish(start + size, name);
    return true;
  }

  #addBytes(bytes: Uint8Array, name: string): void {
    const start = this.#end(this.#count - 1);
    this.#reserve(start + bytes.length);
    if (bytes.includes(SLASH) || bytes.includes(0)) throw invalid(name, "has a slash or zero byte");
    this.#bytes.set(bytes, start);
    this.#finish(start + bytes.length, name);
  }

  #finish(end: number, name: string): void {
    const size = end - this.#end(this.#count - 1);
    if (size === 0) throw invalid(name, "is reserved");
    if (size > NAME_LIMIT) throw invalid(name, `is longer than ${NAME_LIMIT} bytes`);
    this.#push(end);
  }

  #push(end: number): void {
    if (this.#count === this.#ends.length) {
      const larger = new Uint32Array(this.#count * 2);
      larger.set(this.#ends);
      this.#ends = larger;
    }
    this.#ends[this.#count] = end;
    this.#count += 1;
  }

  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    if (size > 0xffff_ffff) {
      const text = `Cannot compile tree: expected names of less than 4 GiB in all, got ${size} bytes`;
      throw new EsgzError("LIMIT_EXCEEDED", text);
    }
    const larger = new Uint8Array(Math.max(size, this.#bytes.length * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }

  #end(index: number): number {
    return index < 0 ? 0 : (this.#ends[index] ?? 0);
  }
}

/** Adds the dots and sorts; most directories are in order, and their names sort behind the dots. */
function sortNames(names: string[]): void {
  if (!isAscending(names)) names.sort();
  const dotsAreFirst = !((names[0] ?? "/") < "..");
  names.unshift(...DOTS);
  if (!dotsAreFirst) names.sort();
}

function isAscending(names: readonly string[]): boolean {
  let previous = "";
  for (const name of names) {
    if (name < previous) return false;
    previous = name;
  }
  return true;
}

function invalid(name: string, found: string): EsgzError {
  const shown = JSON.stringify(name.slice(0, NAME_LIMIT));
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot compile name ${shown}: expected a name of a directory, got one that ${found}`,
  );
}
