/**
 * The maps of sparse files: which runs of the file are stored (GNU tar manual, "Storing Sparse Files").
 *
 * | form    | where the map is                                                          | file size            |
 * | ------- | ------------------------------------------------------------------------- | -------------------- |
 * | GNU old | type S: 4 runs in the header block, 21 in each extension block (24 bytes a run) | header, realSize |
 * | PAX 0.0 | records GNU.sparse.offset and GNU.sparse.numbytes, in turns               | GNU.sparse.size      |
 * | PAX 0.1 | record GNU.sparse.map: `offset,size,offset,size,...`                      | GNU.sparse.size      |
 * | PAX 1.0 | whole blocks before the content: count, then offset and size, a line each | GNU.sparse.realsize  |
 *
 * An extension block is 21 runs (0 to 503), a byte that is not 0 when another one follows (504), and 7 unused bytes.
 *
 * @module
 */
import { decodeText } from "./header-text.ts";
import type { PaxRecord } from "./pax-record.ts";
import { checkLimit, invalidTar } from "./tar-error.ts";
import type { SparseSegment } from "./tar-entry.ts";
import type { TarLimits } from "./tar-limits.ts";
import { decodeTarNumber } from "./tar-number.ts";

const RUN_SIZE = 24;
const NUMBER_SIZE = 12;
const HEADER_RUNS = { at: 386, count: 4 };
const EXTENSION_RUNS = { at: 0, count: 21 };
const HEADER_EXTENDED = HEADER_RUNS.at + HEADER_RUNS.count * RUN_SIZE;
const EXTENSION_EXTENDED = EXTENSION_RUNS.count * RUN_SIZE;
const REAL_SIZE = HEADER_EXTENDED + 1;
const NEWLINE = 0x0a;

/** What every map is read with: where its entry begins in the tar, and the limits. */
export interface SparseContext {
  readonly offset: number;
  readonly limits: TarLimits;
}

/** A sparse map: the runs as written, and the file's size. */
export interface SparseMap {
  readonly segments: readonly SparseSegment[];
  readonly size: number;
}

/** Reads the map of a GNU type S entry, block by block. */
export class GnuSparseReader {
  readonly #context: SparseContext;
  readonly #segments: SparseSegment[] = [];
  readonly size: number;
  /** Whether another extension block follows. */
  isExtended: boolean;

  /** @throws TAR_INVALID, LIMIT_EXCEEDED */
  constructor(header: Uint8Array, context: SparseContext) {
    this.#context = context;
    this.size = this.#number(header, REAL_SIZE);
    this.#readRuns(header, HEADER_RUNS);
    this.isExtended = header[HEADER_EXTENDED] !== 0;
  }

  /** Takes an extension block. @throws TAR_INVALID, LIMIT_EXCEEDED */
  push(block: Uint8Array): void {
    this.#readRuns(block, EXTENSION_RUNS);
    this.isExtended = block[EXTENSION_EXTENDED] !== 0;
  }

  /** The whole map. */
  get map(): SparseMap {
    return { segments: this.#segments, size: this.size };
  }

  #readRuns(block: Uint8Array, runs: { at: number; count: number }): void {
    for (let i = 0; i < runs.count; i += 1) {
      const at = runs.at + i * RUN_SIZE;
      if (block[at + NUMBER_SIZE] === 0) return;
      addSegment(this.#segments, this.#context, {
        offset: this.#number(block, at),
        size: this.#number(block, at + NUMBER_SIZE),
      });
    }
  }

  #number(block: Uint8Array, at: number): number {
    const value = decodeTarNumber(block, at, NUMBER_SIZE);
    if (value !== undefined && value >= 0) return value;
    throw invalidTar("sparse map of entry", this.#context.offset, "expected numbers of 0 or more");
  }
}

/** Reads the map of PAX sparse 1.0, which comes in blocks before the content. */
export class PaxSparseReader {
  readonly #context: SparseContext;
  readonly #segments: SparseSegment[] = [];
  #count: number | undefined;
  #digits = "";
  #offset: number | undefined;

  constructor(context: SparseContext) {
    this.#context = context;
  }

  /** Whether the map is complete. */
  get isComplete(): boolean {
    return this.#count !== undefined && this.#segments.length >= this.#count;
  }

  /** The runs, once the map is complete. */
  get segments(): readonly SparseSegment[] {
    return this.#segments;
  }

  /** Takes a block. @throws TAR_INVALID, LIMIT_EXCEEDED */
  push(block: Uint8Array): void {
    for (let at = 0; at < block.length && !this.isComplete;) {
      const newline = block.indexOf(NEWLINE, at);
      const end = newline === -1 ? block.length : newline;
      if (end - at > 20) throw this.#invalid();
      this.#digits += decodeText(block, at, end);
      at = end + 1;
      if (newline !== -1) this.#endLine();
    }
  }

  #endLine(): void {
    const number = parseDecimal(this.#digits);
    this.#digits = "";
    if (number === undefined) throw this.#invalid();
    if (this.#count === undefined) this.#count = this.#checkedCount(number);
    else if (this.#offset === undefined) this.#offset = number;
    else {
      addSegment(this.#segments, this.#context, { offset: this.#offset, size: number });
      this.#offset = undefined;
    }
  }

  #checkedCount(count: number): number {
    const { limits, offset } = this.#context;
    checkLimit(count, { limit: limits.maxSparseSegments, what: "sparse map of entry", offset });
    return count;
  }

  #invalid(): Error {
    return invalidTar(
      "sparse map of entry",
      this.#context.offset,
      "expected lines of decimal numbers, got other bytes",
    );
  }
}

/** The runs of PAX sparse 0.1, from the record GNU.sparse.map. @throws TAR_INVALID, LIMIT_EXCEEDED */
export function decodeSparseList(text: string, context: SparseContext): readonly SparseSegment[] {
  const numbers = text === "" ? [] : text.split(",", 2 * context.limits.maxSparseSegments + 2);
  return pairUp(numbers, context);
}

/** The runs of PAX sparse 0.0, from its records in their order. @throws TAR_INVALID, LIMIT_EXCEEDED */
export function decodeSparseRecords(
  records: readonly PaxRecord[],
  context: SparseContext,
): readonly SparseSegment[] {
  const numbers: string[] = [];
  for (const { key, value } of records) {
    const isOffset = key === "GNU.sparse.offset";
    if (!isOffset && key !== "GNU.sparse.numbytes") continue;
    if (isOffset !== (numbers.length % 2 === 0)) {
      throw invalidTar(
        "sparse map of entry",
        context.offset,
        "expected offset and numbytes records in turns",
      );
    }
    numbers.push(decodeText(value, 0, value.length));
  }
  return pairUp(numbers, context);
}

function pairUp(numbers: readonly string[], context: SparseContext): readonly SparseSegment[] {
  const segments: SparseSegment[] = [];
  for (let i = 0; i < numbers.length; i += 2) {
    const offset = parseDecimal(numbers[i] ?? "");
    const size = parseDecimal(numbers[i + 1] ?? "");
    if (offset === undefined || size === undefined) {
      throw invalidTar("sparse map of entry", context.offset, "expected pairs of decimal numbers");
    }
    addSegment(segments, context, { offset, size });
  }
  return segments;
}

/**
 * Checks that a map fits its file and what is stored, and leaves out empty runs.
 *
 * @throws TAR_INVALID for runs that overlap, go back or leave the file, or do not add up to the bytes stored.
 */
export function checkSparseMap(map: SparseMap, storedSize: number, offset: number): readonly SparseSegment[] {
  let end = 0;
  let stored = 0;
  for (const segment of map.segments) {
    if (segment.offset < end) throw invalidTar("sparse map of entry", offset, "expected runs in order");
    end = segment.offset + segment.size;
    stored += segment.size;
    if (end > map.size)
      throw invalidTar("sparse map of entry", offset, `expected runs inside ${map.size} bytes, got ${end}`);
  }
  if (stored === storedSize) return map.segments.filter(({ size }) => size > 0);
  throw invalidTar(
    "sparse map of entry",
    offset,
    `expected runs of ${storedSize} bytes in all, got ${stored}`,
  );
}

function addSegment(segments: SparseSegment[], context: SparseContext, segment: SparseSegment): void {
  const { limits, offset } = context;
  checkLimit(segments.length + 1, { limit: limits.maxSparseSegments, what: "sparse map of entry", offset });
  segments.push(segment);
}

function parseDecimal(text: string): number | undefined {
  const number = /^\d{1,16}$/u.test(text) ? Number(text) : NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}
