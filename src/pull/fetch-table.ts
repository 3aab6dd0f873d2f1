/**
 * What has to be fetched: compressed members, the chunks wanted out of each, and the pieces that each chunk fills.
 *
 * Chunks with the same digest are fetched once, wherever in the image they occur.
 *
 * ```text
 * member  0         1            partStart    [0, 2, 3]
 * part    0    1    2            targetStart  [0, 1, 3, 4]   (one part = one chunk)
 * target  p4   p7 p9  p2         target       [4, 7, 9, 2]   (pieces of the file table)
 * ```
 *
 * @module
 */
import {
  comparePieceDigests,
  type FileTable,
  sharedFloat64,
  sharedUint32,
  sharedUint8,
} from "./file-table.ts";

/** Members, parts and targets in columns. Members are sorted by layer, then by place in the blob. */
export interface FetchTable {
  readonly members: number;
  /** The layer's index in the image. */
  readonly memberLayer: Uint32Array;
  readonly memberOffset: Float64Array;
  /** Compressed bytes. */
  readonly memberSize: Float64Array;
  /** Decompressed bytes wanted from the member's start. */
  readonly memberNeed: Float64Array;
  readonly partStart: Uint32Array;
  /** The chunk's place in the decompressed member. */
  readonly partOffset: Float64Array;
  readonly partSize: Float64Array;
  readonly targetStart: Uint32Array;
  /** Pieces of the file table; the first one's digest is that of the chunk. */
  readonly target: Uint32Array;
  /** 1 where a file's missing pieces all come with one batch, so that a worker can make the file in one go. */
  readonly whole: Uint8Array;
}

/** Plans the fetch of every piece that is not present. */
export function createFetchTable(table: FileTable): FetchTable {
  const { targetStart, target } = targetsByDigest(table, missingPieces(table));
  const parts = targetStart.length - 1;
  const partOffset = sharedFloat64(parts);
  const partSize = sharedFloat64(parts);
  const starts: number[] = [];
  let previous: number | undefined;
  for (let part = 0; part < parts; part += 1) {
    const piece = target[targetStart[part] ?? 0] ?? 0;
    partOffset[part] = table.pieceInnerOffset[piece] ?? 0;
    partSize[part] = table.pieceSize[piece] ?? 0;
    if (previous === undefined || !sameMember(table, previous, piece)) starts.push(part);
    previous = piece;
  }
  const partStart = sharedUint32(starts.length + 1);
  partStart.set([...starts, parts]);
  return {
    members: starts.length,
    ...memberColumns(table, { partStart, targetStart, target }),
    partStart,
    partOffset,
    partSize,
    targetStart,
    target,
    whole: sharedUint8(table.files),
  };
}

/** Marks the files whose missing pieces all lie in one of the given batches of members. */
export function markWholeFiles(
  table: FileTable,
  fetch: FetchTable,
  batches: readonly { readonly from: number; readonly to: number }[],
): void {
  const batchOf = new Int32Array(table.files).fill(-1);
  fetch.whole.fill(1);
  batches.forEach(({ from, to }, batch) => {
    const first = fetch.targetStart[fetch.partStart[from] ?? 0] ?? 0;
    const end = fetch.targetStart[fetch.partStart[to] ?? 0] ?? 0;
    for (let at = first; at < end; at += 1) {
      const file = table.pieceFile[fetch.target[at] ?? 0] ?? 0;
      if (batchOf[file] === -1) batchOf[file] = batch;
      else if (batchOf[file] !== batch) fetch.whole[file] = 0;
    }
  });
  for (let file = 0; file < table.files; file += 1) if (batchOf[file] === -1) fetch.whole[file] = 0;
  for (let piece = 0; piece < table.pieces; piece += 1) {
    if (table.present[piece] === 1) fetch.whole[table.pieceFile[piece] ?? 0] = 0;
  }
}

/** Pieces that are not on the disk, in the order of layers and blobs. */
function missingPieces(table: FileTable): Uint32Array {
  const { present, pieceLayer, pieceBlobOffset, pieceInnerOffset } = table;
  let count = 0;
  const pieces = new Uint32Array(table.pieces);
  for (let piece = 0; piece < table.pieces; piece += 1) {
    if (present[piece] === 1) continue;
    pieces[count] = piece;
    count += 1;
  }
  return pieces
    .subarray(0, count)
    .sort(
      (a, b) =>
        (pieceLayer[a] ?? 0) - (pieceLayer[b] ?? 0) ||
        (pieceBlobOffset[a] ?? 0) - (pieceBlobOffset[b] ?? 0) ||
        (pieceInnerOffset[a] ?? 0) - (pieceInnerOffset[b] ?? 0),
    );
}

const NONE = 0xffff_ffff;

/** Groups pieces of the same content; a group stands where its first piece does. */
function targetsByDigest(table: FileTable, pieces: Uint32Array): Pick<FetchTable, "targetStart" | "target"> {
  const { next, groups } = chainEqualPieces(table, pieces);
  const targetStart = sharedUint32(groups + 1);
  const target = sharedUint32(pieces.length);
  const grouped = new Uint8Array(pieces.length);
  let at = 0;
  let group = 0;
  for (let start = 0; start < pieces.length; start += 1) {
    if (grouped[start] === 1) continue;
    for (let place = start; place !== NONE; place = next[place] ?? NONE) {
      grouped[place] = 1;
      target[at] = pieces[place] ?? 0;
      at += 1;
    }
    group += 1;
    targetStart[group] = at;
  }
  return { targetStart, target };
}

/**
 * For each place in the list the next place with a piece of the same content, or `NONE`. Found by sorting: a map would
 * keep a text for every digest.
 */
function chainEqualPieces(
  table: FileTable,
  pieces: Uint32Array,
): { readonly next: Uint32Array; readonly groups: number } {
  const next = new Uint32Array(pieces.length).fill(NONE);
  // A table that gives one digest two sizes contradicts itself; each size is then checked for itself.
  const compare = (a: number, b: number): number => {
    const [left, right] = [pieces[a] ?? 0, pieces[b] ?? 0];
    return (
      comparePieceDigests(table, left, right) || (table.pieceSize[left] ?? 0) - (table.pieceSize[right] ?? 0)
    );
  };
  const places = Uint32Array.from(pieces.keys()).sort((a, b) => compare(a, b) || a - b);
  let groups = Math.min(1, pieces.length);
  for (let i = 1; i < places.length; i += 1) {
    const [place, following] = [places[i - 1] ?? 0, places[i] ?? 0];
    if (compare(place, following) === 0) next[place] = following;
    else groups += 1;
  }
  return { next, groups };
}

function sameMember(table: FileTable, a: number, b: number): boolean {
  return table.pieceLayer[a] === table.pieceLayer[b] && table.pieceBlobOffset[a] === table.pieceBlobOffset[b];
}

function memberColumns(
  table: FileTable,
  { partStart, targetStart, target }: Pick<FetchTable, "partStart" | "targetStart" | "target">,
): Pick<FetchTable, "memberLayer" | "memberOffset" | "memberSize" | "memberNeed"> {
  const members = partStart.length - 1;
  const columns = {
    memberLayer: sharedUint32(members),
    memberOffset: sharedFloat64(members),
    memberSize: sharedFloat64(members),
    memberNeed: sharedFloat64(members),
  };
  for (let member = 0; member < members; member += 1) {
    for (let part = partStart[member] ?? 0; part < (partStart[member + 1] ?? 0); part += 1) {
      const piece = target[targetStart[part] ?? 0] ?? 0;
      const offset = table.pieceBlobOffset[piece] ?? 0;
      const need = (table.pieceInnerOffset[piece] ?? 0) + (table.pieceSize[piece] ?? 0);
      columns.memberLayer[member] = table.pieceLayer[piece] ?? 0;
      columns.memberOffset[member] = offset;
      columns.memberSize[member] = Math.max(
        columns.memberSize[member] ?? 0,
        (table.pieceBlobEnd[piece] ?? 0) - offset,
      );
      columns.memberNeed[member] = Math.max(columns.memberNeed[member] ?? 0, need);
    }
  }
  return columns;
}
