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
const DOTS: readonly string[] = [".", ".."];

/** Names by number, in the order in which they were added. */
export class NameList {
  #bytes = new Uint8Array(64 * 1024);
  #ends = new Uint32Array(4096);
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
    // For names of this length a loop is faster than a view.
    for (let i = 0; i < size; i += 1) target[offset + i] = this.#bytes[start + i] ?? 0;
    return offset + size;
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
    for (const name of sorted) checkName(name);
    sorted.push(...DOTS);
    if (!sorted.some((name) => NEEDS_BYTE_ORDER.test(name))) {
      sorted.sort();
      for (const name of sorted) this.#add(name);
      return sorted;
    }
    const encoded = sorted.map((name) => ({ name, bytes: encodePathText(name) }));
    encoded.sort((a, b) => compareBytes(a.bytes, b.bytes));
    for (const [index, { name, bytes }] of encoded.entries()) {
      // Different texts can stand for the same bytes.
      const previous = encoded[index - 1];
      if (previous !== undefined && compareBytes(previous.bytes, bytes) === 0)
        throw invalid(name, "is there twice");
      this.#addBytes(bytes, name);
    }
    return encoded.map(({ name }) => name);
  }

  #add(name: string): void {
    const start = this.#end(this.#count - 1);
    this.#reserve(start + name.length);
    for (let i = 0; i < name.length; i += 1) {
      const unit = name.charCodeAt(i);
      if (unit >= 0x80) return this.#addBytes(encodePathText(name), name);
      this.#bytes[start + i] = unit;
    }
    this.#finish(start + name.length, name);
  }

  #addBytes(bytes: Uint8Array, name: string): void {
    const start = this.#end(this.#count - 1);
    this.#reserve(start + bytes.length);
    this.#bytes.set(bytes, start);
    this.#finish(start + bytes.length, name);
  }

  #finish(end: number, name: string): void {
    if (end - this.#end(this.#count - 1) > NAME_LIMIT)
      throw invalid(name, `is longer than ${NAME_LIMIT} bytes`);
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

function checkName(name: string): void {
  if (name === "" || name === "." || name === "..") throw invalid(name, "is reserved");
  for (let i = 0; i < name.length; i += 1) {
    const unit = name.charCodeAt(i);
    if (unit === 0x2f || unit === 0) throw invalid(name, "has a slash or zero byte");
  }
}

function invalid(name: string, found: string): EsgzError {
  const shown = JSON.stringify(name.slice(0, NAME_LIMIT));
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot compile name ${shown}: expected a name of a directory, got one that ${found}`,
  );
}
