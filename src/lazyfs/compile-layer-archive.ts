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
import { placeFile, type StoredRun } from "./place-file.ts";

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
  const extents = new Map<TocEntry, readonly ErofsExtent[]>();
  const rows: ChunkRow[] = [];
  for (const { entry } of filesInBlobOrder(archive)) {
    const chunks = entry.chunks.filter(({ kind }) => kind === "data");
    const file = placeFile(plan, { size: entry.size, stored: storedRuns(chunks) });
    extents.set(entry, file.extents);
    for (const chunk of chunks) rows.push(rowFrom(chunk, { place: file.placeOf(chunk.fileOffset), entry }));
  }
  const tree = new LayerTree();
  for (const entry of archive.entries) tree.add(entry, extents.get(entry));
  return { ...compileLayer(tree, { ...options, dataSize: plan.size }), rows, dataSize: plan.size };
}

interface PlacedFile {
  readonly entry: TocEntry;
  readonly first: Chunk;
}

/** The files that have bytes in the blob, by where they begin in it. */
function filesInBlobOrder(archive: Archive): readonly PlacedFile[] {
  const files: PlacedFile[] = [];
  for (const entry of archive.entries) {
    const first = entry.chunks.find(({ kind }) => kind === "data");
    if (first !== undefined) files.push({ entry, first });
  }
  return files.sort(
    (a, b) => a.first.blobOffset - b.first.blobOffset || a.first.innerOffset - b.first.innerOffset,
  );
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
  const { size, blobOffset, blobEnd, innerOffset, digest } = chunk;
  const memberSize = blobEnd - blobOffset;
  if (memberSize > MAX_MEMBER_SIZE) {
    throw unsupported(entry, `compressed members of at most ${MAX_MEMBER_SIZE} bytes`, String(memberSize));
  }
  return {
    place,
    size,
    blobOffset,
    memberSize,
    innerOffset,
    digest: rawSha256(digest, entry),
  };
}

function rawSha256(digest: Digest | undefined, entry: TocEntry): Uint8Array {
  if (digest === undefined) throw unsupported(entry, "chunks with a digest", "one without");
  if (algorithmOf(digest) !== "sha256") throw unsupported(entry, "chunks with a SHA-256", digest);
  return Buffer.from(hexOf(digest), "hex");
}

function unsupported({ path }: TocEntry, expected: string, found: string): EsgzError {
  return new EsgzError(
    "NOT_SUPPORTED",
    `Cannot lay out "${path.slice(0, 200)}": expected ${expected}, got ${found}`,
  );
}
