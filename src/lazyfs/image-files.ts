/**
 * The files of an image by their paths, as a process in it would find them.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { ErofsReader, type ErofsSource } from "../erofs/index.ts";
import type { Layer } from "../store/index.ts";
import { type DeviceRun, deviceRuns } from "./device-runs.ts";
import { walkPath } from "./walk-path.ts";

/** A regular file. */
export interface ImageFile {
  /** Its path without links on the way, absolute. */
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** What tells it from others: names of one inode have one. */
  readonly nid: number;
}

/** A run of a file's bytes on a layer's data device. */
export interface FileRun extends Omit<DeviceRun, "device"> {
  readonly layer: Layer;
}

/** Finds files of an image, and their bytes. */
export interface FileFinder {
  /**
   * The file at an absolute path, links followed as in a root of its own; undefined if there is none.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  find(path: string): ImageFile | undefined;
  /**
   * Where the bytes of a range of a file lie; holes are left out.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  runs(file: ImageFile, range: ByteRange): Iterable<FileRun>;
}

/** Finds files in the metadata of a whole image. */
export class ImageFiles implements FileFinder {
  readonly #reader: ErofsReader;
  readonly #layers: readonly Layer[];

  /**
   * @param meta the merged metadata image, with one device for each layer
   * @throws {EsgzError} `EROFS_INVALID`
   */
  constructor(meta: Uint8Array | ErofsSource, layers: readonly Layer[]) {
    this.#reader = new ErofsReader(meta);
    this.#layers = layers;
  }

  find(path: string): ImageFile | undefined {
    const reader = this.#reader;
    const found = walkPath<number>(
      {
        root: reader.rootNid,
        child: (nid, name) =>
          reader.getInode(nid).type === "dir" ? reader.lookup(nid, name)?.nid : undefined,
        targetOf: (nid) => (reader.getInode(nid).type === "symlink" ? reader.readlink(nid) : undefined),
      },
      path,
    );
    if (found === undefined) return undefined;
    const inode = reader.getInode(found.node);
    return inode.type === "reg" ? { path: found.path, size: inode.size, nid: found.node } : undefined;
  }

  *runs({ nid }: ImageFile, range: ByteRange): Generator<FileRun, void, undefined> {
    for (const { device, ...run } of deviceRuns(this.#reader, nid, range)) {
      const layer = this.#layers[device];
      if (layer !== undefined) yield { layer, ...run };
    }
  }
}
