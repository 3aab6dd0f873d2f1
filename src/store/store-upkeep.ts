/**
 * What a store holds, and what of it nobody needs.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import { isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { ReverifyReport } from "./chunk-checks.ts";
import type { LayerShelf } from "./layer-shelf.ts";
import type { LayerSize } from "./layer-size.ts";
import type { StoreParts } from "./store-parts.ts";

/** What a store takes on the disk. */
export interface StoreUsage {
  readonly layers: readonly LayerUsage[];
  /** Bytes of manifests, configs and other small blobs. */
  readonly contentBytes: number;
}

/** A layer in a {@link StoreUsage}. */
export interface LayerUsage extends LayerSize {
  /** When it was last opened, milliseconds since 1970; 0 if that is not known. */
  readonly usedMs: number;
  /** Whether an image has it. */
  readonly named: boolean;
  /** Whether a lease or somebody in this process holds it. */
  readonly pinned: boolean;
}

/** What `Store.prune()` took away. */
export interface PruneReport {
  readonly layers: readonly Digest[];
  readonly content: readonly Digest[];
  /** Bytes of both. */
  readonly bytes: number;
}

/** What `Store.reverify()` found. */
export interface StoreReverifyReport extends ReverifyReport {
  /** Layers that cannot be opened, and have to be made again. */
  readonly damaged: readonly Digest[];
}

/** What stays although no image that has a reference needs it. */
export interface PruneOptions {
  /** Manifests of images to keep although nothing refers to them, such as those that are mounted. */
  readonly keepImages?: ReadonlySet<Digest>;
  /** Small blobs to keep, such as those of a pull under way. */
  readonly keepContent?: ReadonlySet<Digest>;
}

/** Counts what is there. @throws {EsgzError} `STORE_INVALID`, `IO_FAILED` */
export async function readStoreUsage({ database, shelf, content, used }: StoreParts): Promise<StoreUsage> {
  const [named, leased] = [database.imageLayers(), database.leasedLayers()];
  const blobs = await content.list();
  const layers = (await shelf.sizes()).map((size) => ({
    ...size,
    usedMs: used.get(size.digest) ?? 0,
    named: named.has(size.digest),
    pinned: leased.has(size.digest) || shelf.isOpen(size.digest),
  }));
  return { layers, contentBytes: blobs.reduce((sum, { size }) => sum + size, 0) };
}

/** Takes away what nothing needs; see `Store.prune()`. @throws {EsgzError} `STORE_INVALID`, `IO_FAILED` */
export async function pruneStore(parts: StoreParts, options: PruneOptions): Promise<PruneReport> {
  const { database, clock } = parts;
  database.expireLeases(clock.wallMs());
  database.removeUnnamedImages({ but: options.keepImages });
  const layers = await dropLayers(parts);
  const wanted = database.imageContent();
  const isNeeded = (digest: Digest): boolean =>
    wanted.has(digest) || options.keepContent?.has(digest) === true;
  const content = (await parts.content.list()).filter(({ digest }) => !isNeeded(digest));
  for (const { digest } of content) await parts.content.delete(digest);
  return {
    layers: layers.map(({ digest }) => digest),
    content: content.map(({ digest }) => digest),
    bytes:
      layers.reduce((sum, layer) => sum + layer.dataBytes + layer.recordBytes, 0) +
      content.reduce((sum, { size }) => sum + size, 0),
  };
}

/** Drops the layers that no image has and nobody holds. */
async function dropLayers(parts: StoreParts): Promise<readonly LayerUsage[]> {
  const { database, shelf, copier, used } = parts;
  const { layers } = await readStoreUsage(parts);
  const dropped: LayerUsage[] = [];
  for (const layer of layers) {
    const { digest } = layer;
    if (layer.named || layer.pinned || !(await shelf.drop(digest))) continue;
    used.delete(digest);
    database.forgetUsed(digest);
    await copier.noteDropped(digest);
    dropped.push(layer);
  }
  return dropped;
}

/** Verifies, in all layers, the chunks that may be there. @throws {EsgzError} `IO_FAILED`, `NO_SPACE` */
export async function reverifyLayers(shelf: LayerShelf, options: ReadOptions): Promise<StoreReverifyReport> {
  let [kept, dropped] = [0, 0];
  const damaged: Digest[] = [];
  for (const digest of await shelf.list()) {
    options.signal?.throwIfAborted();
    try {
      await using handle = await shelf.open(digest);
      const report = await handle?.layer.reverify(options);
      kept += report?.kept ?? 0;
      dropped += report?.dropped ?? 0;
    } catch (error) {
      if (!isEsgzError(error, "STORE_INVALID")) throw error;
      damaged.push(digest);
    }
  }
  return { kept, dropped, damaged };
}
