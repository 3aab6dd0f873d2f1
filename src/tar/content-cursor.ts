/**
 * Walks through an entry's content: which bytes come from the stream, which are holes.
 *
 * @module
 */
import type { SparseSegment, TarEntry } from "./tar-entry.ts";

const ZEROS = new Uint8Array(256 * 1024);
const NO_SEGMENTS: readonly SparseSegment[] = [];

/** Where the decoder stands in an entry's content. */
export class ContentCursor {
  readonly #segments: readonly SparseSegment[];
  readonly #size: number;
  #index = 0;
  #at = 0;

  /** `expand` makes holes into zeros; without it only stored bytes count. */
  constructor(entry: TarEntry, options: { expand: boolean }) {
    const isExpanded = options.expand && entry.sparse !== undefined;
    this.#segments = isExpanded ? (entry.sparse ?? NO_SEGMENTS) : [{ offset: 0, size: entry.storedSize }];
    this.#size = isExpanded ? entry.size : entry.storedSize;
  }

  /** Whether all content has been given out. */
  get isDone(): boolean {
    return this.#at >= this.#size;
  }

  /** The stored bytes that come next; 0 at a hole. */
  get storedAhead(): number {
    const segment = this.#segments[this.#index];
    if (segment === undefined || this.#at < segment.offset) return 0;
    return segment.offset + segment.size - this.#at;
  }

  /** Zeros of the hole at this place, as many as there is a buffer for; shared and read only. */
  takeHole(): Uint8Array {
    const end = this.#segments[this.#index]?.offset ?? this.#size;
    const bytes = ZEROS.subarray(0, Math.min(end - this.#at, ZEROS.length));
    this.#at += bytes.length;
    return bytes;
  }

  /** Notes that stored bytes were given out. */
  advance(size: number): void {
    this.#at += size;
    const segment = this.#segments[this.#index];
    if (segment !== undefined && this.#at >= segment.offset + segment.size) this.#index += 1;
  }
}
