/**
 * Directory data: entries and names packed into blocks.
 *
 * @module
 */
import { BLOCK_SIZE, DIRENT_SIZE } from "./disk-layout.ts";
import type { ImageMemory, InodeList } from "./inode-list.ts";

/** The entries `first` to `end` (exclusive) of a list, which lie in one block and take `size` bytes there. */
interface BlockRange {
  readonly end: number;
  readonly size: number;
}

/** The size of a directory in bytes: whole blocks and what the last block holds. */
export function directorySize(list: InodeList, directory: number): number {
  const { first, end } = entriesOf(list, directory);
  let size = 0;
  for (let at = first; at < end;) {
    const block = fillBlock(list, at, end);
    size += block.end < end ? BLOCK_SIZE : block.size;
    at = block.end;
  }
  return size;
}

/**
 * Writes the entries of a directory: whole blocks from `offset` on, the last block at `lastOffset`, which lies
 * elsewhere when it is the tail behind the inode.
 */
export function writeDirectory(
  image: ImageMemory,
  places: {
    readonly list: InodeList;
    readonly directory: number;
    readonly offset: number;
    readonly lastOffset: number;
    /** Node ids by inode number. */
    readonly nids: Float64Array;
  },
): void {
  const { bytes, view } = image;
  const { list, nids } = places;
  const { first, end } = entriesOf(list, places.directory);
  let offset = places.offset;
  for (let at = first; at < end;) {
    const block = fillBlock(list, at, end);
    const start = block.end < end ? offset : places.lastOffset;
    let name = start + (block.end - at) * DIRENT_SIZE;
    for (let entry = at, dirent = start; entry < block.end; entry += 1, dirent += DIRENT_SIZE) {
      const inode = list.entryInodes[entry] ?? 0;
      // Ids count 32 bytes each, so those of images of less than 128 GiB fit into half of their place.
      view.setUint32(dirent, nids[inode] ?? 0, true);
      view.setUint16(dirent + 8, name - start, true);
      bytes[dirent + 10] = list.types[inode] ?? 0;
      name = list.names.copy(entry, bytes, name);
    }
    offset += BLOCK_SIZE;
    at = block.end;
  }
}

function entriesOf(list: InodeList, directory: number): { readonly first: number; readonly end: number } {
  const first = list.firstEntries[directory] ?? 0;
  return { first, end: first + (list.entryCounts[directory] ?? 0) };
}

/** As many entries as one block can hold, from `first` on. */
function fillBlock(list: InodeList, first: number, limit: number): BlockRange {
  let size = 0;
  let end = first;
  for (; end < limit; end += 1) {
    const grown = size + DIRENT_SIZE + list.names.sizeOf(end);
    if (grown > BLOCK_SIZE) break;
    size = grown;
  }
  return { end, size };
}
