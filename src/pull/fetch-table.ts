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
import type { Chunk } from "../estargz/index.ts";
import { type FileTable, sharedFloat64, sharedUint32, sharedUint8 } from "./file-table.ts";
import type { FileNode } from "./root-nodes.ts";

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

interface Part {
  readonly chunk: Chunk;
  readonly layer: number;
  readonly targets: number[];
}

/** Plans the fetch of every piece that is not present. `files` are those that the table was made of. */
export function createFetchTable(table: FileTable, files: readonly FileNode[]): FetchTable {
  const parts = missingParts(table, files);
  parts.sort(
    (a, b) =>
      a.layer - b.layer ||
      a.chunk.blobOffset - b.chunk.blobOffset ||
      a.chunk.innerOffset - b.chunk.innerOffset,
  );
  const starts = parts.flatMap((part, at) => (startsMember(part, parts[at - 1]) ? [at] : []));
  const members = starts.length;
  const memberLayer = sharedUint32(members);
  const [memberOffset, memberSize, memberNeed] = [
    sharedFloat64(members),
    sharedFloat64(members),
    sharedFloat64(members),
  ];
  const partStart = sharedUint32(members + 1);
  starts.forEach((from, member) => {
    const to = starts[member + 1] ?? parts.length;
    partStart[member + 1] = to;
    for (const { chunk, layer } of parts.slice(from, to)) {
      memberLayer[member] = layer;
      memberOffset[member] = chunk.blobOffset;
      memberSize[member] = Math.max(memberSize[member] ?? 0, chunk.blobEnd - chunk.blobOffset);
      memberNeed[member] = Math.max(memberNeed[member] ?? 0, chunk.innerOffset + chunk.size);
    }
  });
  const whole = sharedUint8(table.files);
  return {
    members,
    memberLayer,
    memberOffset,
    memberSize,
    memberNeed,
    partStart,
    ...partColumns(parts),
    whole,
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

function missingParts(table: FileTable, files: readonly FileNode[]): Part[] {
  const byDigest = new Map<string, Part>();
  files.forEach((file, index) => {
    let piece = table.pieceStart[index] ?? 0;
    for (const chunk of file.chunks) {
      if (chunk.kind !== "data") continue;
      if (table.present[piece] !== 1) {
        const key = `${chunk.digest}/${chunk.size}`;
        const known = byDigest.get(key);
        if (known === undefined) byDigest.set(key, { chunk, layer: file.layer, targets: [piece] });
        else known.targets.push(piece);
      }
      piece += 1;
    }
  });
  return [...byDigest.values()];
}

function startsMember(part: Part, previous: Part | undefined): boolean {
  return previous?.layer !== part.layer || previous.chunk.blobOffset !== part.chunk.blobOffset;
}

function partColumns(
  parts: readonly Part[],
): Pick<FetchTable, "partOffset" | "partSize" | "targetStart" | "target"> {
  const targets = parts.reduce((sum, part) => sum + part.targets.length, 0);
  const columns = {
    partOffset: sharedFloat64(parts.length),
    partSize: sharedFloat64(parts.length),
    targetStart: sharedUint32(parts.length + 1),
    target: sharedUint32(targets),
  };
  let at = 0;
  parts.forEach((part, index) => {
    columns.partOffset[index] = part.chunk.innerOffset;
    columns.partSize[index] = part.chunk.size;
    columns.target.set(part.targets, at);
    at += part.targets.length;
    columns.targetStart[index + 1] = at;
  });
  return columns;
}
