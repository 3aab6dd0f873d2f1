/**
 * The files of an image by their paths, as a process in it would find them.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { ErofsReader } from "../erofs/index.ts";
import type { Layer } from "../store/index.ts";

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
export interface FileRun {
  readonly layer: Layer;
  /** Where it begins in the file. */
  readonly fileOffset: number;
  readonly range: ByteRange;
}

/** As many as the kernel follows. */
const MAX_LINKS = 40;

/** Finds files in the metadata of a whole image. */
export class ImageFiles {
  readonly #reader: ErofsReader;
  readonly #layers: readonly Layer[];

  /**
   * @param meta the merged metadata image, with one device for each layer
   * @throws {EsgzError} `EROFS_INVALID`
   */
  constructor(meta: Uint8Array, layers: readonly Layer[]) {
    this.#reader = new ErofsReader(meta);
    this.#layers = layers;
  }

  /**
   * The file at an absolute path, links followed as in a root of its own; undefined if there is none.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  find(path: string): ImageFile | undefined {
    const reader = this.#reader;
    const todo = path.split("/").toReversed();
    const places = [{ nid: reader.rootNid, name: "" }];
    let links = 0;
    for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
      const place = places.at(-1);
      if (place === undefined) return undefined;
      if (name === "" || name === ".") continue;
      if (name === "..") {
        if (places.length > 1) places.pop();
        continue;
      }
      if (reader.getInode(place.nid).type !== "dir") return undefined;
      const entry = reader.lookup(place.nid, name);
      if (entry === undefined) return undefined;
      if (entry.type !== "symlink") {
        places.push({ nid: entry.nid, name });
        continue;
      }
      links += 1;
      if (links > MAX_LINKS) return undefined;
      const target = reader.readlink(entry.nid);
      if (target.startsWith("/")) places.length = 1;
      todo.push(...target.split("/").toReversed());
    }
    const nid = places.at(-1)?.nid ?? reader.rootNid;
    const inode = reader.getInode(nid);
    if (inode.type !== "reg") return undefined;
    return { path: places.map((place) => place.name).join("/"), size: inode.size, nid };
  }

  /**
   * Where the bytes of a file lie, from an offset on; holes are left out.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  *runs({ nid }: ImageFile, { offset, size }: ByteRange): Generator<FileRun, void, undefined> {
    const end = offset + size;
    for (let at = offset; at < end;) {
      const run = this.#reader.runAt(nid, at);
      if (run === undefined) return;
      const length = Math.min(run.size, end - at);
      const layer = run.kind === "device" ? this.#layers[run.device] : undefined;
      if (run.kind === "device" && layer !== undefined) {
        yield { layer, fileOffset: at, range: { offset: run.deviceOffset, size: length } };
      }
      at += length;
    }
  }
}
