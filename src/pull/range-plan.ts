/**
 * Which byte ranges to ask for, and in which order: pure arithmetic over the fetch table.
 *
 * ```text
 * blob      |hdr|m0|m1|......hidden......|m2|hid|m3|m4|  TOC, footer |
 * ranges     [0        ]                  [1       ][2]               (a small gap is read through)
 * held                                            |<- came with the index ->|
 * ```
 *
 * @module
 */
import type { FetchTable } from "./fetch-table.ts";

/** What the planner knows of a layer. */
export interface PlannedLayer {
  readonly index: number;
  readonly blobSize: number;
  /** Bytes from here to the blob's end came with the index and lie in memory; the blob's size if none. */
  readonly heldFrom: number;
}

/** Members that travel and are written together. */
export interface Batch {
  /** Members `[from, to)` of the fetch table. */
  readonly from: number;
  readonly to: number;
  /** The batch can be written once the blob is there up to this offset. */
  readonly blobEnd: number;
}

/** One request, or what came with the index. */
export interface RangePlan {
  readonly layer: number;
  /** The first byte in the blob. */
  readonly offset: number;
  /** Bytes, those held included. */
  readonly size: number;
  /** Bytes to ask for; what follows them is held. */
  readonly fetchSize: number;
  readonly batches: readonly Batch[];
}

/** What a layer's fetch adds up to. */
export interface LayerPlan {
  readonly index: number;
  /** In blob order. */
  readonly ranges: readonly RangePlan[];
  /** Bytes to be asked for. */
  readonly fetchBytes: number;
  /** Bytes of the blob that will neither be asked for nor are held. */
  readonly skippedBytes: number;
  /** Every byte passes by, so that the blob's digest can be computed. */
  readonly complete: boolean;
}

/** Sizes that steer the plan, in bytes. */
export interface RangeOptions {
  /** No range is larger, unless one member is. */
  readonly rangeSize: number;
  /** Unwanted bytes up to this number are read through; asking anew would take longer. */
  readonly gapSize: number;
  /** A batch is closed once it has this many compressed bytes ... */
  readonly batchSize: number;
  /** ... or this many pieces to write. */
  readonly batchPieces: number;
}

/** Plans one layer. Its members in the table must be sorted by offset, as `createFetchTable` leaves them. */
export function planLayer(fetch: FetchTable, layer: PlannedLayer, options: RangeOptions): LayerPlan {
  const ranges: RangePlan[] = [];
  let skipped = 0;
  let covered = 0;
  let open: { offset: number; from: number; end: number } | undefined;
  const close = (to: number): void => {
    if (open === undefined) return;
    ranges.push(rangeOf(fetch, layer, { ...open, to }, options));
    open = undefined;
  };
  const [first, end] = membersOf(fetch, layer.index);
  for (let member = first; member < end; member += 1) {
    const offset = fetch.memberOffset[member] ?? 0;
    const memberEnd = offset + (fetch.memberSize[member] ?? 0);
    const wantedGap = Math.min(offset, layer.heldFrom) - Math.min(covered, layer.heldFrom);
    const apart = wantedGap > options.gapSize;
    if (apart) skipped += wantedGap;
    if (open !== undefined && (apart || memberEnd - open.offset > options.rangeSize)) close(member);
    open ??= { offset: apart ? offset : Math.min(covered, offset), from: member, end: memberEnd };
    open.end = memberEnd;
    covered = Math.max(covered, memberEnd);
  }
  const tailGap = Math.max(0, layer.heldFrom - covered);
  const readTail = open !== undefined && tailGap <= options.gapSize;
  if (open !== undefined && readTail) open.end += tailGap;
  if (!readTail) skipped += tailGap;
  close(end);
  return {
    index: layer.index,
    ranges,
    fetchBytes: ranges.reduce((sum, { fetchSize }) => sum + fetchSize, 0),
    skippedBytes: skipped,
    complete: skipped === 0,
  };
}

/** The order of requests: layers take turns, each from its front to its back. */
export function interleaveRanges(layers: readonly LayerPlan[]): RangePlan[] {
  const order: RangePlan[] = [];
  const longest = Math.max(0, ...layers.map(({ ranges }) => ranges.length));
  for (let turn = 0; turn < longest; turn += 1) {
    for (const { ranges } of layers) {
      const range = ranges[turn];
      if (range !== undefined) order.push(range);
    }
  }
  return order;
}

function rangeOf(
  fetch: FetchTable,
  layer: PlannedLayer,
  span: { offset: number; end: number; from: number; to: number },
  options: RangeOptions,
): RangePlan {
  const fetchEnd = Math.max(span.offset, Math.min(span.end, layer.heldFrom));
  return {
    layer: layer.index,
    offset: span.offset,
    size: span.end - span.offset,
    fetchSize: fetchEnd - span.offset,
    batches: batchesOf(fetch, span, options),
  };
}

function batchesOf(
  fetch: FetchTable,
  { from, to }: { from: number; to: number },
  options: RangeOptions,
): Batch[] {
  const batches: Batch[] = [];
  let start = from;
  for (let member = from; member < to; member += 1) {
    const blobEnd = (fetch.memberOffset[member] ?? 0) + (fetch.memberSize[member] ?? 0);
    const bytes = blobEnd - (fetch.memberOffset[start] ?? 0);
    const pieces =
      (fetch.targetStart[fetch.partStart[member + 1] ?? 0] ?? 0) -
      (fetch.targetStart[fetch.partStart[start] ?? 0] ?? 0);
    if (member + 1 === to || bytes >= options.batchSize || pieces >= options.batchPieces) {
      batches.push({ from: start, to: member + 1, blobEnd });
      start = member + 1;
    }
  }
  return batches;
}

function membersOf(fetch: FetchTable, layer: number): [number, number] {
  let first = fetch.memberLayer.indexOf(layer);
  if (first < 0) first = 0;
  const end = fetch.memberLayer.lastIndexOf(layer) + 1;
  return end === 0 ? [0, 0] : [first, end];
}
