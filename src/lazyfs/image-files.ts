/**
 * The files of an image by their paths, as a process in it would find them.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { decodePathText } from "../bytes/index.ts";
import type { ErofsSource } from "../erofs/index.ts";
import type { Layer } from "../store/index.ts";
import { type DeviceRun, deviceRuns } from "./device-runs.ts";
import { type LayerPlace, LayerStack } from "./layer-stack.ts";
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

/** A metadata image: merged from several layers, or one layer's. */
export interface LayersMeta {
  readonly meta: Uint8Array | ErofsSource;
  /** What its devices are, in their order. */
  readonly layers: readonly Layer[];
}

/** More than node ids of one metadata image. */
const META_STEP = 2 ** 40;

/** Finds files in the metadata of an image: merged already, or layer by layer, as overlayfs would. */
export class ImageFiles {
  readonly #metas: readonly LayersMeta[];
  readonly #stack: LayerStack;
  /** What was found by name: programs and their libraries lie in few directories, which each of many layers may have. */
  readonly #children = new Map<LayerPlace, Map<string, LayerPlace | undefined>>();

  /**
   * @param metas the lowest first
   * @throws {EsgzError} `EROFS_INVALID`
   */
  constructor(metas: readonly LayersMeta[]) {
    this.#metas = metas;
    this.#stack = new LayerStack(metas.map(({ meta }) => meta));
  }

  /**
   * The file at an absolute path, links followed as in a root of its own; undefined if there is none.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  find(path: string): ImageFile | undefined {
    const found = this.#walk(path);
    const [part] = found?.node.parts ?? [];
    if (found?.node.type !== "reg" || part === undefined) return undefined;
    const { size } = this.#stack.reader(part.layer).getInode(part.nid);
    return { path: found.path, size, nid: part.layer * META_STEP + part.nid };
  }

  /**
   * Names in the directory at an absolute path, those of upper layers first, not more than `limit`: some may be hidden, or be no
   * file's. None if there is no directory.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  names(path: string, limit: number): readonly string[] {
    const found = this.#walk(path)?.node;
    const names = new Set<string>();
    for (const { layer, nid } of found?.type === "dir" ? found.parts : []) {
      for (const { nameBytes } of this.#stack.reader(layer).readdir(nid)) {
        if (names.size >= limit) return [...names];
        const name = decodePathText(nameBytes);
        if (name !== "." && name !== "..") names.add(name);
      }
    }
    return [...names];
  }

  /**
   * Where the bytes of a range of a file lie; holes are left out.
   *
   * @throws {EsgzError} `EROFS_INVALID`
   */
  *runs({ nid }: ImageFile, range: ByteRange): Generator<FileRun, void, undefined> {
    const at = Math.floor(nid / META_STEP);
    const layers = this.#metas[at]?.layers ?? [];
    for (const { device, ...run } of deviceRuns(this.#stack.reader(at), nid % META_STEP, range)) {
      const layer = layers[device];
      if (layer !== undefined) yield { layer, ...run };
    }
  }

  #walk(path: string): ReturnType<typeof walkPath<LayerPlace>> {
    const { root } = this.#stack;
    const targetOf = (place: LayerPlace): string | undefined => this.#stack.targetOf(place);
    return walkPath({ root, child: (place, name) => this.#child(place, name), targetOf }, path);
  }

  #child(place: LayerPlace, name: string): LayerPlace | undefined {
    const known = this.#children.get(place) ?? new Map<string, LayerPlace | undefined>();
    this.#children.set(place, known);
    if (!known.has(name)) known.set(name, this.#stack.child(place, name));
    return known.get(name);
  }
}
