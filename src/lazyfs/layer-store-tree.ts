/**
 * Answers what container engines ask of an additional layer store.
 *
 * ```text
 * pool                              link to the store's own directory
 * <base64 of a reference>/          asked for by name: the image is looked for
 *   <digest>/                       the layer is looked for, and made ready
 *     diff                          link to where the layer is shown; followed, it is shown
 *     info                          JSON
 *     blob                          the bytes of the registry
 *     use                           never there: who tries to make it uses the layer once more
 *                                   who tries to remove <digest> uses it once less
 * ```
 *
 * A link in the place of the directory `diff` is all the same to engines, which follow it when they mount; the layer can so
 * be a mount of its own, with nothing of this tree in the way of those who read it.
 *
 * @module
 */
import { encodeUtf8 } from "../bytes/index.ts";
import {
  type Attributes,
  type ChangeAttempt,
  createAttributes,
  type DirectoryEntry,
  type Entry,
  ErrnoError,
  type ErrnoName,
  type Filesystem,
  type ReadOptions,
  type RequestContext,
  ROOT_NODE,
} from "../fuse/index.ts";
import type { Digest } from "../oci/index.ts";
import type { LayerStoreHost, StoreLayer } from "./layer-store-host.ts";
import {
  imageName,
  imageNode,
  layerNode,
  type LayerStorePart,
  parseImageDirectory,
  parseLayerDirectory,
  partOf,
  POOL_NODE,
} from "./layer-store-nodes.ts";

/** Told of an answer that somebody did not get. */
export type LayerStoreObserver = (failure: {
  readonly reference: string;
  readonly digest?: Digest;
  readonly error: unknown;
}) => void;

/** Images and layers may be there later, and go. */
const KEPT = { generation: 0, entryTimeoutMs: 1000, attributesTimeoutMs: 1000 };
/** An engine that waits for longer had better fetch the layer itself. */
const LOOK_MS = 30_000;
const FILES: readonly LayerStorePart[] = ["diff", "info", "blob"];

/** The filesystem, for the thread that may wait. */
export class LayerStoreTree implements Filesystem {
  readonly #host: LayerStoreHost;
  readonly #onFailure: LayerStoreObserver;
  readonly #images = new Map<number, string>();
  /** By the node of the directory. */
  readonly #layers = new Map<number, StoreLayer>();

  constructor(host: LayerStoreHost, onFailure: LayerStoreObserver) {
    this.#host = host;
    this.#onFailure = onFailure;
    for (const layer of host.layers()) {
      this.#images.set(imageNode(layer.reference), layer.reference);
      this.#layers.set(layerNode(layer, "directory"), layer);
    }
  }

  async lookup(directory: number, name: string, { signal }: RequestContext): Promise<Entry | undefined> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(LOOK_MS)]);
    if (directory === ROOT_NODE) return await this.#lookupImage(name, limited);
    const reference = this.#images.get(directory);
    if (reference !== undefined) return await this.#lookupLayer(reference, { name, signal: limited });
    const layer = this.#layerOf(directory);
    const part = FILES.find((file) => file === name);
    return part === undefined ? undefined : this.#entry(layerNode(layer, part));
  }

  getattr(node: number): { readonly attributesTimeoutMs: number; readonly attributes: Attributes } {
    return { attributesTimeoutMs: KEPT.attributesTimeoutMs, attributes: this.#attributes(node) };
  }

  async readlink(node: number, { signal }: RequestContext): Promise<string> {
    if (node === POOL_NODE) return this.#host.pool;
    const layer = this.#layerOf(node);
    if (partOf(node) !== "diff") throw new ErrnoError("EINVAL");
    return await this.#host.showLayer(layer, { signal });
  }

  readdir(node: number, { offset }: { readonly offset: number }): DirectoryEntry[] {
    return this.#names(node)
      .map(([name, type, inode], at) => ({ name, type, inode, offset: at + 1 }))
      .slice(offset);
  }

  open(node: number): { readonly directIo: boolean } {
    this.#layerOf(node);
    return { directIo: false };
  }

  async read(node: number, { offset, size }: ReadOptions, { signal }: RequestContext): Promise<Uint8Array> {
    const layer = this.#layerOf(node);
    if (partOf(node) === "info") return encodeUtf8(layer.info).subarray(offset, offset + size);
    const range = { offset, size: Math.max(0, Math.min(size, layer.blobSize - offset)) };
    return range.size === 0 ? new Uint8Array() : await this.#host.readBlob(layer, range, { signal });
  }

  /** The answer that engines want is that nothing is there. */
  refuse({ operation, directory, name }: ChangeAttempt): ErrnoName {
    if (operation === "create" && name === "use" && partOf(directory) === "directory") {
      this.#host.useLayer(this.#layerOf(directory));
      return "ENOENT";
    }
    const reference = this.#images.get(directory);
    const digest = parseLayerDirectory(name);
    if (operation !== "rmdir" || reference === undefined || digest === undefined) return "EROFS";
    const node = layerNode({ reference, digest }, "directory");
    const layer = this.#layers.get(node);
    if (layer !== undefined) this.#host.releaseLayer(layer);
    return "ENOENT";
  }

  async #lookupImage(name: string, signal: AbortSignal): Promise<Entry | undefined> {
    if (name === "pool") return this.#entry(POOL_NODE);
    const reference = parseImageDirectory(name);
    if (reference === undefined) return undefined;
    const node = imageNode(reference);
    if (!this.#images.has(node)) {
      const found = await this.#attempt({ reference }, () => this.#host.hasImage(reference, { signal }));
      if (found !== true) return undefined;
      this.#images.set(node, reference);
    }
    return this.#entry(node);
  }

  async #lookupLayer(
    reference: string,
    { name, signal }: { readonly name: string; readonly signal: AbortSignal },
  ): Promise<Entry | undefined> {
    const digest = parseLayerDirectory(name);
    if (digest === undefined) return undefined;
    const wanted = { reference, digest };
    const layer = await this.#attempt(wanted, () => this.#host.findLayer(wanted, { signal }));
    if (layer === undefined) return undefined;
    const node = layerNode(layer, "directory");
    this.#layers.set(node, layer);
    return this.#entry(node);
  }

  /** What cannot be had is not there: the engine fetches it in its own way. */
  async #attempt<T>(
    wanted: { readonly reference: string; readonly digest?: Digest },
    find: () => Promise<T>,
  ): Promise<T | undefined> {
    try {
      return await find();
    } catch (error) {
      this.#onFailure({ ...wanted, error });
      return undefined;
    }
  }

  #names(node: number): [name: string, type: DirectoryEntry["type"], inode: number][] {
    const reference = this.#images.get(node);
    const layers = [...this.#layers];
    if (node === ROOT_NODE)
      return [
        ["pool", "symlink", POOL_NODE],
        ...[...this.#images].map(([inode, of]): [string, "dir", number] => [imageName(of), "dir", inode]),
      ];
    if (reference !== undefined)
      return layers
        .filter(([, layer]) => layer.reference === reference)
        .map(([inode, { digest }]) => [digest, "dir", inode]);
    const layer = this.#layerOf(node);
    return FILES.map((part) => [part, part === "diff" ? "symlink" : "reg", layerNode(layer, part)]);
  }

  #entry(node: number): Entry {
    return { ...KEPT, node, attributes: this.#attributes(node) };
  }

  #attributes(node: number): Attributes {
    const directory = createAttributes("dir", { inode: node, permissions: 0o700 });
    if (node === ROOT_NODE || this.#images.has(node)) return directory;
    const link = createAttributes("symlink", { inode: node, permissions: 0o777 });
    if (node === POOL_NODE) return link;
    const { info, blobSize } = this.#layerOf(node);
    const part = partOf(node);
    if (part === "directory") return directory;
    if (part === "diff") return link;
    const size = part === "info" ? encodeUtf8(info).length : blobSize;
    return createAttributes("reg", { inode: node, size, permissions: 0o400 });
  }

  /** The layer that a node of its directory belongs to. One that is not known any more is looked up again by the kernel. */
  #layerOf(node: number): StoreLayer {
    const part = partOf(node);
    const layer = this.#layers.get(part === undefined ? 0 : node - partIndex(part));
    if (layer === undefined) throw new ErrnoError("ESTALE");
    return layer;
  }
}

function partIndex(part: LayerStorePart): number {
  return part === "directory" ? 0 : FILES.indexOf(part) + 1;
}
