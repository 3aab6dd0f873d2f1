/**
 * The files of an image whose layers are there, and no merged metadata: found layer by layer, as overlayfs would.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import type { ErofsSource } from "../erofs/index.ts";
import type { Layer } from "../store/index.ts";
import { deviceRuns } from "./device-runs.ts";
import type { FileFinder, FileRun, ImageFile } from "./image-files.ts";
import { LayerStack } from "./layer-stack.ts";
import { walkPath } from "./walk-path.ts";

/** A layer with its metadata image. */
export interface LayerWithMeta {
  readonly layer: Layer;
  readonly meta: Uint8Array | ErofsSource;
}

/** More than node ids of one layer. */
const LAYER_STEP = 2 ** 40;

/** Finds files in the metadata of layers. */
export class LayeredFiles implements FileFinder {
  readonly #layers: readonly Layer[];
  readonly #stack: LayerStack;

  /**
   * @param layers the lowest first
   * @throws {EsgzError} `EROFS_INVALID`
   */
  constructor(layers: readonly LayerWithMeta[]) {
    this.#layers = layers.map(({ layer }) => layer);
    this.#stack = new LayerStack(layers.map(({ meta }) => meta));
  }

  find(path: string): ImageFile | undefined {
    const found = walkPath(this.#stack, path);
    const [part] = found?.node.parts ?? [];
    if (found?.node.type !== "reg" || part === undefined) return undefined;
    const { size } = this.#stack.reader(part.layer).getInode(part.nid);
    return { path: found.path, size, nid: part.layer * LAYER_STEP + part.nid };
  }

  *runs({ nid }: ImageFile, range: ByteRange): Generator<FileRun, void, undefined> {
    const at = Math.floor(nid / LAYER_STEP);
    const layer = this.#layers[at];
    if (layer === undefined) return;
    const reader = this.#stack.reader(at);
    for (const { fileOffset, range: onDevice } of deviceRuns(reader, nid % LAYER_STEP, range)) {
      yield { layer, fileOffset, range: onDevice };
    }
  }
}
