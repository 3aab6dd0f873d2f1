/**
 * A keeper of connections of which several may have the same id.
 *
 * @module
 */
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";

/**
 * Has a keeper keep the newest connection of each id. One before it may be served for longer: its mount was taken away while
 * somebody used it, and then made again under the same id. When it ends at last, the newer one has to be kept all the same.
 */
export class NewestKeeper implements FuseKeeper {
  readonly #keeper: FuseKeeper;
  /** The descriptors of those that were adopted through this object. */
  readonly #newest = new Map<string, number>();

  constructor(keeper: FuseKeeper) {
    this.#keeper = keeper;
  }

  async adopt(fuse: AdoptedFuse & { readonly pid: number }): Promise<void> {
    // First: the keeper may have the new one, and has let go of the one before, long before it says so.
    this.#newest.set(fuse.id, fuse.fd);
    try {
      await this.#keeper.adopt(fuse);
    } catch (error) {
      this.#newest.delete(fuse.id);
      throw error;
    }
  }

  async disown(id: string, fd: number): Promise<void> {
    if ((this.#newest.get(id) ?? fd) !== fd) return;
    this.#newest.delete(id);
    await this.#keeper.disown(id, fd);
  }
}
