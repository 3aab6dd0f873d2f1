/**
 * The layers of a store: made, opened once for all who want them, dropped.
 *
 * @module
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { KeyLocks, SingleFlight } from "../async/index.ts";
import { isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { assertKept } from "./assert-kept.ts";
import type { CheckedMeta } from "./checked-meta.ts";
import { ROW_SIZE } from "./chunk-row.ts";
import { ChunkTable } from "./chunk-table.ts";
import { type AnyNewLayer, type CreatedFiles, createLayerFiles, type NewLayer } from "./create-layer.ts";
import { LayerDirectories } from "./layer-directories.ts";
import { type LayerContext, type LayerFiles, openLayerFiles } from "./layer-files.ts";
import { Layer } from "./layer.ts";
import { type LayerSize, readLayerSize } from "./layer-size.ts";
import { agrees, identityOf, type LayerIdentity, type LayerSource } from "./layer-source.ts";
import { guarded, layerInUse } from "./store-error.ts";
import { layerDigestOf, layerPaths, type StoreLayout } from "./store-layout.ts";

/** A layer that stays open until the handle is closed. */
export interface LayerHandle extends AsyncDisposable {
  /** Shared by all who have it open. */
  readonly layer: Layer;
  /** Gives it back; the last one ends the layer's session. Further calls do nothing. */
  close(): Promise<void>;
}

interface OpenLayer {
  readonly layer: Layer;
  readonly meta: CheckedMeta;
  holders: number;
}

/** The directory `layers` of a store. */
export class LayerShelf {
  readonly #layout: StoreLayout;
  readonly #directories: LayerDirectories;
  readonly #context: LayerContext;
  readonly #open = new Map<Digest, OpenLayer>();
  /** Guards what happens to the directory of a layer: one thing at a time. */
  readonly #turns = new KeyLocks<Digest>();
  readonly #checkpoints = new SingleFlight<"all", void>();
  #isClosing = false;

  constructor(layout: StoreLayout, context: LayerContext) {
    this.#layout = layout;
    this.#directories = new LayerDirectories(layout);
    this.#context = context;
  }

  /** Whether somebody has a layer open. */
  isOpen(digest: Digest): boolean {
    return this.#open.has(digest);
  }

  /** What those layers are that are open. */
  identitiesOf(digests: readonly Digest[]): ReadonlyMap<Digest, LayerIdentity> {
    const layers = digests
      .map((digest) => this.#open.get(digest)?.layer)
      .filter((layer) => layer !== undefined);
    return new Map(layers.map((layer) => [layer.digest, identityOf(layer)]));
  }

  /** The layers that are open. */
  get openLayers(): readonly Layer[] {
    return [...this.#open.values()].map(({ layer }) => layer);
  }

  /**
   * Opens a layer; undefined if there is none. The metadata of one that is open already is verified again if it was touched.
   *
   * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`
   */
  async open(digest: Digest): Promise<LayerHandle | undefined> {
    return await this.#inTurn(digest, async () => {
      const opened = this.#open.get(digest);
      if (opened !== undefined) {
        await opened.meta.verify();
        return this.#hold(opened);
      }
      if (!this.#directories.has(digest)) return undefined;
      const files = await openLayerFiles(this.#layout.layer(digest), { digest, context: this.#context });
      return this.#adopt(digest, files);
    });
  }

  /** Makes and opens a layer, or opens the one that is there; one that is damaged is replaced. */
  async create(
    digest: Digest,
    layer: AnyNewLayer,
    options: { readonly durable: boolean },
  ): Promise<LayerHandle> {
    const existing = await this.#openAgreeing(digest, layer.source);
    if (existing !== undefined) return existing;
    return await this.#inTurn(digest, async () => {
      const opened = this.#open.get(digest);
      if (opened !== undefined) {
        await this.#makeGood(opened, layer);
        return this.#hold(opened);
      }
      const paths = layerPaths(this.#layout.layer(digest));
      await assertKept({ ...layer, digest, paths }, this.#context);
      const temporary = this.#layout.nextTemporary();
      using _room = await this.#context.admitRecords(layer.meta.length + sizeOfTable(layer.chunks));
      const context = this.#context;
      let files: CreatedFiles | undefined;
      try {
        files = await createLayerFiles(temporary, layer, { ...options, limits: context.limits });
        await this.#directories.publish(temporary, digest, options);
        const created = { ...options, ...files };
        return this.#adopt(
          digest,
          await openLayerFiles(this.#layout.layer(digest), { digest, context, created }),
        );
      } catch (error) {
        await files?.data.close();
        await rm(temporary, { recursive: true, force: true });
        throw error;
      }
    });
  }

  /** Gives a finished directory the name of its layer, unless a sound layer has it. */
  async publish(
    directory: string,
    layer: { readonly digest: Digest; readonly source: LayerSource },
  ): Promise<void> {
    const { digest, source } = layer;
    {
      await using existing = await this.#openAgreeing(digest, source);
      if (existing?.layer.complete === true) {
        await rm(directory, { recursive: true, force: true });
        return;
      }
    }
    await this.#inTurn(digest, async () => {
      const opened = this.#open.get(digest);
      const meta = await readFile(layerPaths(directory).meta);
      if (opened === undefined) {
        const paths = layerPaths(this.#layout.layer(digest));
        await assertKept({ digest, paths, meta, source }, this.#context);
        await this.#directories.publish(directory, digest, { durable: true });
        return;
      }
      if (!opened.layer.complete) throw layerInUse(digest);
      await this.#makeGood(opened, { source, meta });
      await rm(directory, { recursive: true, force: true });
    });
  }

  /** Opens only the chunk table of a layer; undefined where that is not possible. */
  openTable(digest: Digest): ChunkTable | undefined {
    const { chunks } = layerPaths(this.#layout.layer(digest));
    try {
      return ChunkTable.open(chunks, this.#context);
    } catch {
      return undefined;
    }
  }

  /** Drops a layer that nobody has open and no lease holds; false if that is not so. @throws {EsgzError} `IO_FAILED` */
  async drop(digest: Digest): Promise<boolean> {
    return await this.#inTurn(digest, async () => await this.#drop(digest));
  }

  /**
   * Drops a layer as {@link LayerShelf.drop}, or gives up only its data, where its metadata is to be kept and can be. Undefined if
   * nothing was done: also where something happens to the layer, which may itself be waiting for the room that this is to make.
   *
   * @throws {EsgzError} `IO_FAILED`
   */
  async evict(
    digest: Digest,
    options: { readonly keepMetadata: boolean },
  ): Promise<"emptied" | "dropped" | undefined> {
    if (this.#turns.isBusy(digest)) return undefined;
    return await this.#inTurn(digest, async () => {
      if (options.keepMetadata && (await this.#empty(digest))) return "emptied";
      return (await this.#drop(digest)) ? "dropped" : undefined;
    });
  }

  /** The digests of all layers that are there. @throws {EsgzError} `IO_FAILED` */
  async list(): Promise<readonly Digest[]> {
    const names = await guarded("list layers", () => readdir(this.#layout.layers));
    return names.map(layerDigestOf).filter((digest) => digest !== undefined);
  }

  /** What each layer takes on the disk. @throws {EsgzError} `IO_FAILED` */
  async sizes(): Promise<readonly LayerSize[]> {
    const sizes: LayerSize[] = [];
    for (const digest of await this.list())
      sizes.push(await readLayerSize(digest, layerPaths(this.#layout.layer(digest))));
    return sizes;
  }

  /** Makes what was written to all open layers durable; the first failure is thrown when all were tried. */
  async checkpoint(): Promise<void> {
    await this.#checkpoints.run("all", async () => {
      const outcomes = await Promise.allSettled(this.openLayers.map((layer) => layer.checkpoint()));
      for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    });
  }

  /** Ends the sessions of all layers, whoever has them open; the first failure is thrown when all were tried. */
  async close(): Promise<void> {
    await this.#turns.settled();
    // They stay open until then: what is still being written may want room, and must not take theirs.
    this.#isClosing = true;
    const outcomes = await Promise.allSettled(this.openLayers.map((layer) => layer.end()));
    this.#open.clear();
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  async #drop(digest: Digest): Promise<boolean> {
    if (this.#isHeld(digest) || !this.#directories.has(digest)) return false;
    await this.#directories.discard(digest);
    return true;
  }

  /** Gives up the data of a layer and keeps its metadata; false if that is not possible. */
  async #empty(digest: Digest): Promise<boolean> {
    if (this.#isHeld(digest)) return false;
    const table = this.openTable(digest);
    if (table === undefined) return false;
    const { count, dataSize } = table;
    table[Symbol.dispose]();
    await this.#directories.empty(digest, { count, dataSize });
    return true;
  }

  /** Asked in the layer's turn: who chose it looked some time ago, and a mount of a complete layer keeps nothing open. */
  #isHeld(digest: Digest): boolean {
    return this.#open.has(digest) || this.#context.isPinned(digest);
  }

  /** Opens the layer that is there, if it is sound and tells the same as what a caller would make. */
  async #openAgreeing(digest: Digest, source: LayerSource): Promise<LayerHandle | undefined> {
    const existing = await this.#openSound(digest);
    if (existing === undefined || agrees(existing.layer.source, source)) return existing;
    await existing.close();
    if (this.#context.isPinned(digest)) throw layerInUse(digest);
    return undefined;
  }

  async #openSound(digest: Digest): Promise<LayerHandle | undefined> {
    try {
      return await this.open(digest);
    } catch (error) {
      if (isEsgzError(error, "STORE_INVALID")) return undefined;
      throw error;
    }
  }

  /** Replaces the metadata of an open layer, if it is damaged, by what somebody would make the layer of now. */
  async #makeGood(opened: OpenLayer, wanted: Pick<NewLayer, "meta" | "source">): Promise<void> {
    const { layer, meta } = opened;
    if (!agrees(layer.source, wanted.source)) throw layerInUse(layer.digest);
    try {
      await meta.verify();
    } catch (error) {
      if (!isEsgzError(error, "STORE_INVALID")) throw error;
      const temporary = this.#layout.nextTemporary();
      if (!(await meta.replace(wanted.meta, { temporary }))) throw layerInUse(layer.digest);
    }
  }

  #adopt(digest: Digest, files: LayerFiles): LayerHandle {
    const layer = new Layer(digest, files, this.#context);
    const entry = { layer, meta: files.meta, holders: 0 };
    this.#open.set(digest, entry);
    return this.#hold(entry);
  }

  #hold(entry: OpenLayer): LayerHandle {
    const { layer } = entry;
    entry.holders += 1;
    let held = true;
    const close = async (): Promise<void> => {
      if (!held) return;
      held = false;
      await this.#release(entry);
    };
    return { layer, close, [Symbol.asyncDispose]: close };
  }

  async #release(entry: OpenLayer): Promise<void> {
    const { digest } = entry.layer;
    entry.holders -= 1;
    await this.#inTurn(digest, async () => {
      if (entry.holders > 0 || this.#isClosing || this.#open.get(digest) !== entry) return;
      this.#open.delete(digest);
      await entry.layer.end();
    });
  }

  async #inTurn<T>(digest: Digest, work: () => Promise<T>): Promise<T> {
    return await this.#turns.run([digest], () => guarded(`use layer ${digest}`, work));
  }
}

function sizeOfTable(chunks: AnyNewLayer["chunks"]): number {
  return "rows" in chunks ? chunks.rows.length * ROW_SIZE : chunks.table.length;
}
