/**
 * Where the bytes of an inode lie, as it is read.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  alignUp,
  BLOCK_SIZE,
  CHUNK_BITS_MASK,
  CHUNK_INDEX_SIZE,
  CHUNK_INDEXES,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  NULL_BLOCK,
} from "./disk-layout.ts";
import type { CheckedSource } from "./erofs-source.ts";
import type { InodeRecord } from "./inode-record.ts";

/** A run of an inode's bytes and where they lie: nowhere (zeros), on a data device, or in the image itself. */
export type ErofsRun = {
  readonly fileOffset: number;
  /** Bytes, at least 1. */
  readonly size: number;
} & (
  | { readonly kind: "hole" }
  | { readonly kind: "device"; readonly device: number; readonly deviceOffset: number }
  | { readonly kind: "image"; readonly imageOffset: number }
);

/** Block addresses without device ids, 4 bytes each. */
const BLOCK_MAP_ENTRY_SIZE = 4;

/**
 * The run that begins at `fileOffset`, or undefined at the end of the inode. It ends where its chunk, or the inode,
 * does: what follows may be contiguous with it.
 *
 * @throws {EsgzError} `EROFS_INVALID` for a chunk table outside the image, an unknown device, or a tail that crosses
 * a block.
 */
export function readRun(
  source: CheckedSource,
  inode: InodeRecord,
  options: { readonly fileOffset: number; readonly deviceCount: number },
): ErofsRun | undefined {
  const { fileOffset } = options;
  if (!(fileOffset >= 0 && fileOffset < inode.size)) return undefined;
  if (inode.layout === LAYOUT_CHUNKS) return readChunkRun(source, inode, options);
  const tail = inode.layout === LAYOUT_INLINE ? inode.size % BLOCK_SIZE || BLOCK_SIZE : 0;
  const tailOffset = inode.size - tail;
  if (fileOffset < tailOffset) {
    const imageOffset = inode.startBlock * BLOCK_SIZE + fileOffset;
    return { kind: "image", fileOffset, size: tailOffset - fileOffset, imageOffset };
  }
  if ((inode.bodyOffset % BLOCK_SIZE) + tail > BLOCK_SIZE)
    throw invalid(inode.nid, "a tail in one block", `${tail} bytes`);
  return {
    kind: "image",
    fileOffset,
    size: inode.size - fileOffset,
    imageOffset: inode.bodyOffset + fileOffset - tailOffset,
  };
}

function readChunkRun(
  source: CheckedSource,
  inode: InodeRecord,
  { fileOffset, deviceCount }: { readonly fileOffset: number; readonly deviceCount: number },
): ErofsRun {
  const chunkSize = BLOCK_SIZE * 2 ** (inode.chunkFormat & CHUNK_BITS_MASK);
  const chunk = Math.floor(fileOffset / chunkSize);
  const within = fileOffset - chunk * chunkSize;
  const size = Math.min(chunkSize - within, inode.size - fileOffset);
  const { block, device } = readChunkEntry(source, inode, chunk);
  if (block === NULL_BLOCK) return { kind: "hole", fileOffset, size };
  const offset = block * BLOCK_SIZE + within;
  if (device === 0) return { kind: "image", fileOffset, size, imageOffset: offset };
  if (device > deviceCount) throw invalid(inode.nid, `one of ${deviceCount} devices`, `device ${device}`);
  return { kind: "device", fileOffset, size, device: device - 1, deviceOffset: offset };
}

interface ChunkEntry {
  readonly block: number;
  /** As on disk: 0 is the image. */
  readonly device: number;
}

function readChunkEntry(source: CheckedSource, inode: InodeRecord, chunk: number): ChunkEntry {
  const hasIndexes = (inode.chunkFormat & CHUNK_INDEXES) !== 0;
  const size = hasIndexes ? CHUNK_INDEX_SIZE : BLOCK_MAP_ENTRY_SIZE;
  const view = viewOf(source.read(alignUp(inode.bodyOffset, size) + chunk * size, size));
  if (!hasIndexes) return { block: view.getUint32(0, true), device: 0 };
  return { block: view.getUint32(4, true), device: view.getUint16(2, true) };
}

function invalid(nid: number, wanted: string, found: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read data of inode ${nid}: expected ${wanted}, got ${found}`);
}
