/**
 * What is held for mounts while they stand: their layers, and the fills that end with them.
 *
 * @module
 */
import type { MountRecord } from "../lazyfs/index.ts";
import type { Layer } from "../store/index.ts";
import type { LayerUses, UsedLayers } from "./layer-uses.ts";

/** How mounts are held. */
export interface HeldMountsOptions {
  readonly uses: Pick<LayerUses, "use">;
  /** Whether a mount stands. */
  readonly isThere: (id: string) => boolean;
  /** Begins to fill the layers of a mount, if that is wanted, until the signal says that it has ended. */
  readonly fill: (id: string, layers: readonly Layer[], signal: AbortSignal) => void;
}

interface HeldMount {
  readonly used: UsedLayers;
  readonly ending: AbortController;
}

/** Holds the layers of mounts, once for each. */
export class HeldMounts {
  readonly #options: HeldMountsOptions;
  readonly #held = new Map<string, HeldMount>();

  constructor(options: HeldMountsOptions) {
    this.#options = options;
  }

  /**
   * Keeps the layers of a mount open until it is let go of; what was held for it before is let go of.
   *
   * @returns false if somebody has ended it meanwhile: nothing is held then.
   * @throws {EsgzError} `STORE_INVALID`
   */
  async hold({ id, layers }: Pick<MountRecord, "id" | "layers">): Promise<boolean> {
    const { uses, isThere, fill } = this.#options;
    const used = await uses.use(layers);
    if (!isThere(id)) {
      await used[Symbol.asyncDispose]();
      return false;
    }
    const ending = new AbortController();
    const before = this.#held.get(id);
    this.#held.set(id, { used, ending });
    end(before);
    fill(id, used.layers, ending.signal);
    return true;
  }

  /** The layers that are held for a mount. */
  layersOf(id: string): readonly Layer[] {
    return this.#held.get(id)?.used.layers ?? [];
  }

  /** Holds a mount no more. What was held for it stays open until the function that is returned is called. */
  take(id: string): () => void {
    const held = this.#held.get(id);
    this.#held.delete(id);
    return () => end(held);
  }
}

/** Nobody has to wait until the disk has what was written to the layers of a mount that is gone. */
function end(held: HeldMount | undefined): void {
  held?.ending.abort();
  held?.used.letGo();
}
