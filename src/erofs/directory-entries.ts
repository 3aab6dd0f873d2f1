/**
 * The entries of a directory, read at once.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { DIRENT_SIZE, NAME_LIMIT } from "./disk-layout.ts";
import type { ImageMemory } from "./inode-list.ts";

const DOT = 0x2e;
const SLASH = 0x2f;

/** The entries of one directory, in the byte order of their names; made once, filled for each directory. */
export class DirectoryEntries {
  readonly nids: number[] = [];
  readonly types: number[] = [];
  /** Where names begin in the image. */
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  #memory: ImageMemory | undefined;

  /** How many there are. */
  get count(): number {
    return this.nids.length;
  }

  /** Begins with a directory. */
  reset(memory: ImageMemory): void {
    this.#memory = memory;
    this.nids.length = 0;
    this.types.length = 0;
    this.starts.length = 0;
    this.ends.length = 0;
  }

  /**
   * Adds the entries of a block.
   *
   * @throws {EsgzError} `EROFS_INVALID` for a block that is not inside the image, and for names that no directory has or that
   * are not in order
   */
  addBlock(offset: number, size: number): void {
    const memory = this.#memory;
    if (memory === undefined || offset + size > memory.bytes.length || size <= DIRENT_SIZE)
      throw invalid("a block of entries");
    const { view } = memory;
    const first = view.getUint16(offset + 8, true);
    if (first < DIRENT_SIZE || first % DIRENT_SIZE !== 0 || first >= size) throw invalid("names");
    let start = first;
    for (let at = 0; at < first; at += DIRENT_SIZE) {
      const entry = offset + at;
      const next = at + DIRENT_SIZE;
      const end = next < first ? view.getUint16(entry + DIRENT_SIZE + 8, true) : size;
      if (end > size || view.getUint32(entry + 4, true) !== 0) throw invalid("an entry");
      this.#addName(offset + start, offset + end, next === first);
      this.nids.push(view.getUint32(entry, true));
      this.types.push(view.getUint8(entry + 10));
      start = end;
    }
  }

  /** Whether an entry is `.` or `..`. */
  isDots(index: number): boolean {
    const bytes = this.#memory?.bytes;
    const start = this.starts[index] ?? 0;
    const size = (this.ends[index] ?? 0) - start;
    return bytes?.[start] === DOT && (size === 1 || (size === 2 && bytes[start + 1] === DOT));
  }

  /** Notes a name when it is checked, and that it comes behind the one before. */
  #addName(start: number, limit: number, isLast: boolean): void {
    const bytes = this.#memory?.bytes ?? new Uint8Array(0);
    const { length } = this.starts;
    let other = this.starts[length - 1] ?? 0;
    const otherEnd = this.ends[length - 1] ?? 0;
    let isBehind = length === 0;
    let end = start;
    for (; end < limit; end += 1, other += 1) {
      const byte = bytes[end] ?? 0;
      if (byte === 0) break;
      if (byte === SLASH) throw invalid("a name without a slash");
      if (isBehind) continue;
      const before = other < otherEnd ? (bytes[other] ?? 0) : -1;
      if (byte < before) throw invalid("names in order");
      isBehind = byte > before;
    }
    if (end < limit && !isLast) throw invalid("a name without a zero byte");
    if (end === start || end - start > NAME_LIMIT || !isBehind) throw invalid("a name behind the one before");
    this.starts.push(start);
    this.ends.push(end);
  }
}

function invalid(wanted: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read directory: expected ${wanted}, got something else`);
}
