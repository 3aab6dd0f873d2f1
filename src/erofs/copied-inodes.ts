/**
 * What is written of the inodes of a merged image: copied from the images that they are from.
 *
 * @module
 */
import { chunkCountOf } from "./chunk-map.ts";
import { alignUp, CHUNK_BITS_MASK, CHUNK_INDEX_SIZE, NULL_BLOCK } from "./disk-layout.ts";
import type { ImageMemory, InodeContents, InodeList } from "./inode-list.ts";
import type { InodeOrigins } from "./inode-origins.ts";
import { SYMLINK_TYPE } from "./node-types.ts";
import type { SourceImage } from "./source-image.ts";

/** Attributes, chunk tables and texts of symlinks, as they are; devices are numbered by image. */
export class CopiedInodes implements InodeContents {
  readonly #layers: readonly SourceImage[];
  readonly #list: InodeList;
  readonly #origins: InodeOrigins;

  constructor(
    layers: readonly SourceImage[],
    { list, origins }: { readonly list: InodeList; readonly origins: InodeOrigins },
  ) {
    this.#layers = layers;
    this.#list = list;
    this.#origins = origins;
  }

  writeAttributes(inode: number, image: ImageMemory, offset: number): void {
    const layer = this.#layers[this.#origins.layerOf(inode)];
    if (layer === undefined) return writeNoLayers(image, offset);
    const { bytes, words } = layer.memory;
    const record = this.#origins.recordOf(inode);
    image.bytes[offset + 4] = bytes[record + 4] ?? 0;
    image.bytes[offset + 5] = bytes[record + 5] ?? 0;
    const from = record / 4;
    const to = offset / 4;
    // Owner, group, seconds and nanoseconds.
    for (let word = 6; word <= 10; word += 1) image.words[to + word] = words[from + word] ?? 0;
  }

  writeBody(inode: number, image: ImageMemory, offset: number): void {
    const number = this.#origins.layerOf(inode);
    const layer = this.#layers[number];
    if (layer === undefined) return;
    const record = this.#origins.recordOf(inode);
    const { bytes, words } = layer.memory;
    const size = this.#list.sizes[inode] ?? 0;
    if (this.#list.types[inode] === SYMLINK_TYPE) {
      const start = layer.targetOf(record);
      for (let at = 0; at < size; at += 1) image.bytes[offset + at] = bytes[start + at] ?? 0;
      return;
    }
    const device = number + 1;
    const count = chunkCountOf(size, (this.#list.fields[inode] ?? 0) & CHUNK_BITS_MASK);
    const table = alignUp(layer.bodyOf(record), CHUNK_INDEX_SIZE);
    for (let at = 0; at < count * CHUNK_INDEX_SIZE; at += CHUNK_INDEX_SIZE) {
      const block = words[(table + at) / 4 + 1] ?? 0;
      image.words[(offset + at) / 4 + 1] = block;
      if (block !== NULL_BLOCK) image.view.setUint16(offset + at + 2, device, true);
    }
  }
}

/** The root of an image without layers: mode 755 of nobody in particular. */
function writeNoLayers({ view }: ImageMemory, offset: number): void {
  view.setUint16(offset + 4, 0o040755, true);
}
