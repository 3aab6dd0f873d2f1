/**
 * A seekable layer as what the store keeps of it: metadata image, data device, chunk table.
 *
 * @module
 */
import { DevicePlan, type ErofsExtent } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Archive, Chunk, TocEntry } from "../estargz/index.ts";
import { algorithmOf, type Digest, hexOf } from "../oci/index.ts";
import type { ChunkRow } from "../store/index.ts";
import { compileLayer, type CompileLayerOptions, type LayerMeta } from "./compile-layer.ts";
import { LayerTree } from "./layer-tree.ts";
import { placeFile, placeRun, type StoredRun } from "./place-file.ts";

/** A layer, compiled. */
export interface CompiledLayer extends LayerMeta {
  /** The chunks that fill the data device, in the order of their places, which is that of the blob. */
  readonly rows: readonly ChunkRow[];
  /** The size of the data device in bytes, a multiple of 4096. */
  readonly dataSize: number;
}

const MAX_MEMBER_SIZE = 0xffff_ffff;

/**
 * Compiles a verified archive. Files are placed in the order of the blob, each at a multiple of 4096 bytes; holes take
 * no room on the disk.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` for chunks that a table cannot hold; `PATH_INVALID`, `TAR_INVALID`, `EROFS_INVALID`,
 * `LIMIT_EXCEEDED` for a tree that cannot be an image.
 */
export function compileLayerArchive(archive: Archive, options: CompileLayerOptions = {}): CompiledLayer {
  const plan = new DevicePlan();
  const { entries } = archive;
  // Grown one by one it is the same kind of array for layers of all sizes, for which code is compiled once.
  const extents: (readonly ErofsExtent[] | undefined)[] = [];
  for (const _ of entries) extents.push(undefined);
  const rows: ChunkRow[] = [];
  for (const at of filesInBlobOrder(entries)) {
    const entry = entries[at];
    if (entry === undefined) continue;
    const [chunk] = entry.chunks;
    if (chunk !== undefined && isWhole(chunk, entry)) {
      const extent = placeRun(plan, { offset: 0, size: entry.size });
      extents[at] = [extent];
      rows.push(rowFrom(chunk, { place: extent.deviceOffset, entry }));
      continue;
    }
    const chunks = entry.chunks.filter(isData);
    const file = placeFile(plan, { size: entry.size, stored: storedRuns(chunks) });
    extents[at] = file.extents;
    for (const chunk of chunks) rows.push(rowFrom(chunk, { place: file.placeOf(chunk.fileOffset), entry }));
  }
  const tree = new LayerTree();
  let at = 0;
  for (const entry of entries) {
    tree.add(entry, extents[at]);
    at += 1;
  }
  return { ...compileLayer(tree, { ...options, dataSize: plan.size }), rows, dataSize: plan.size };
}

/** The indexes of the entries that have bytes in the blob, by where those begin in it. */
function filesInBlobOrder(entries: readonly TocEntry[]): readonly number[] {
  const files: number[] = [];
  const blobOffsets = new Float64Array(entries.length);
  const innerOffsets = new Float64Array(entries.length);
  let at = -1;
  let last = 0;
  let isSorted = true;
  for (const { chunks } of entries) {
    at += 1;
    const [head] = chunks;
    if (head === undefined) continue;
    const first = isData(head) ? head : chunks.find(isData);
    if (first === undefined) continue;
    files.push(at);
    const { blobOffset, innerOffset } = first;
    blobOffsets[at] = blobOffset;
    innerOffsets[at] = innerOffset;
    const lastOffset = blobOffsets[last] ?? 0;
    if (blobOffset < lastOffset || (blobOffset === lastOffset && innerOffset < (innerOffsets[last] ?? 0)))
      isSorted = false;
    last = at;
  }
  if (isSorted) return files;
  return files.sort(
    (a, b) =>
      (blobOffsets[a] ?? 0) - (blobOffsets[b] ?? 0) || (innerOffsets[a] ?? 0) - (innerOffsets[b] ?? 0),
  );
}

function isData({ kind }: Chunk): boolean {
  return kind === "data";
}

/** Whether a chunk is all of a file, as of most files it is. */
function isWhole({ kind, fileOffset, size }: Chunk, entry: TocEntry): boolean {
  return entry.chunks.length === 1 && kind === "data" && fileOffset === 0 && size === entry.size;
}

/** The runs of a file's bytes, chunks that follow each other joined. */
function storedRuns(chunks: readonly Chunk[]): readonly StoredRun[] {
  const runs: StoredRun[] = [];
  for (const { fileOffset, size } of chunks) {
    const last = runs.at(-1);
    if (last === undefined || last.offset + last.size < fileOffset) runs.push({ offset: fileOffset, size });
    else runs[runs.length - 1] = { offset: last.offset, size: last.size + size };
  }
  return runs;
}

function rowFrom(
  chunk: Chunk,
  { place, entry }: { readonly place: number; readonly entry: TocEntry },
): ChunkRow {
  const memberSize = chunk.blobEnd - chunk.blobOffset;
  if (memberSize > MAX_MEMBER_SIZE) {
    throw unsupported(entry, `compressed members of at most ${MAX_MEMBER_SIZE} bytes`, String(memberSize));
  }
  const { digest } = chunk;
  if (digest === undefined) throw unsupported(entry, "chunks with a digest", "one without");
  if (algorithmOf(digest) !== "sha256") throw unsupported(entry, "chunks with a SHA-256", digest);
  return new ArchiveRow(chunk, { place, digest });
}

/** A row that makes its raw digest when it is asked for: as an array of its own it would be larger than all the rest. */
class ArchiveRow implements ChunkRow {
  readonly place: number;
  readonly size: number;
  readonly blobOffset: number;
  readonly memberSize: number;
  readonly innerOffset: number;
  readonly #digest: Digest;

  constructor(chunk: Chunk, { place, digest }: { readonly place: number; readonly digest: Digest }) {
    this.place = place;
    this.size = chunk.size;
    this.blobOffset = chunk.blobOffset;
    this.memberSize = chunk.blobEnd - chunk.blobOffset;
    this.innerOffset = chunk.innerOffset;
    this.#digest = digest;
  }

  get digest(): Uint8Array {
    return Buffer.from(hexOf(this.#digest), "hex");
  }
}

function unsupported({ path }: TocEntry, expected: string, found: string): EsgzError {
  return new EsgzError(
    "NOT_SUPPORTED",
    `Cannot lay out "${path.slice(0, 200)}": expected ${expected}, got ${found}`,
  );
}
