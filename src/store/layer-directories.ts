/**
 * The directories of a store's layers: they come and go whole, whenever a crash comes.
 *
 * @module
 */
import { renameSync, statSync } from "node:fs";
import { rename, rm, truncate } from "node:fs/promises";
import { isEsgzError } from "../errors/index.ts";
import { ifExists, replaceFile, syncPath } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import { encodeFilled } from "./filled-file.ts";
import { guarded, storeFailure } from "./store-error.ts";
import { layerPaths, type StoreLayout } from "./store-layout.ts";

/** Changes directories of layers. Who calls knows that nobody has these layers open. */
export class LayerDirectories {
  readonly #layout: StoreLayout;

  constructor(layout: StoreLayout) {
    this.#layout = layout;
  }

  /** Whether a layer has one. System errors as they are. */
  has(digest: Digest): boolean {
    return statSync(this.#layout.layer(digest), { throwIfNoEntry: false }) !== undefined;
  }

  /**
   * Gives a finished directory the name of its layer, in the place of what has that.
   *
   * @param options.durable whether the name outlives a power loss when this resolves
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async publish(directory: string, digest: Digest, options: { readonly durable: boolean }): Promise<void> {
    await guarded(`publish layer ${digest}`, async () => {
      if (this.has(digest)) await this.discard(digest);
      renameSync(directory, this.#layout.layer(digest));
      if (options.durable) await syncPath(this.#layout.layers);
    });
  }

  /** Takes one away, if it is there: its name is gone at once and durably, its files after that. @throws {EsgzError} `IO_FAILED` */
  async discard(digest: Digest): Promise<void> {
    const directory = this.#layout.layer(digest);
    await guarded(`drop "${directory}"`, async () => {
      const temporary = this.#layout.nextTemporary();
      if ((await ifExists(rename(directory, temporary).then(() => true))) === undefined) return;
      await syncPath(this.#layout.layers);
      await rm(temporary, { recursive: true, force: true });
    });
  }

  /**
   * Gives up the data of a layer, and keeps its metadata.
   *
   * @param table how many chunks it has, and the size of its data device in bytes
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async empty(digest: Digest, table: { readonly count: number; readonly dataSize: number }): Promise<void> {
    const { directory, filled, data } = layerPaths(this.#layout.layer(digest));
    const bitmap = new Uint8Array(Math.ceil(table.count / 8));
    const temporary = this.#layout.nextTemporary();
    const note = async (): Promise<void> =>
      await replaceFile(filled, encodeFilled({ count: table.count, bitmap }), { temporary });
    const giveUp = async (): Promise<void> => {
      await truncate(data, 0);
      await truncate(data, table.dataSize);
    };
    const action = `empty "${directory}"`;
    await guarded(action, async () => {
      try {
        // The record first: a crash in between finds data that nothing claims, never the reverse.
        await note();
        await giveUp();
      } catch (error) {
        if (!isEsgzError(storeFailure(action, error), "NO_SPACE")) throw error;
        // No room even for a record: where there is none, each chunk is verified before it counts.
        await rm(filled, { force: true });
        await giveUp();
        await note();
      }
    });
  }
}
