/**
 * What will be read first of an image that is being mounted: brought meanwhile.
 *
 * @module
 */
import type { PreparedImage } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type { StartRequest } from "./control-protocol.ts";
import { foreseeImage } from "./foresee-image.ts";
import type { Services } from "./services.ts";

/** How it is brought. */
export interface FirstReadsOptions {
  readonly services: Services;
  /** Whether anything is brought; else only what serves reads is made ready. */
  readonly prefetch: boolean;
  /** Takes work that nobody waits for. */
  readonly inBackground: (work: Promise<void>) => void;
  readonly signal: AbortSignal;
}

/** The first reads of one mount. */
export class FirstReads {
  readonly #options: FirstReadsOptions;
  readonly #layers = new Set<Digest>();
  #isWarm = false;

  constructor(options: FirstReadsOptions) {
    this.#options = options;
  }

  /** Makes the connection that incomplete layers are shown through, once: the mount needs not wait for it then. */
  warm(): void {
    if (this.#isWarm) return;
    this.#isWarm = true;
    const { inBackground, services } = this.#options;
    inBackground(services.views.warm());
  }

  /** A layer that is not complete was found; each counts once. */
  addLayer(digest: Digest): void {
    const { inBackground, prefetch, services } = this.#options;
    this.warm();
    services.fetcher.warm();
    if (this.#layers.has(digest) || !prefetch) return;
    this.#layers.add(digest);
    inBackground(this.#prefetch(digest));
  }

  /** All layers are known: what starting the image's program reads is brought, or another that was asked for. */
  addProgram({ config, layers, mergedMeta }: PreparedImage, start: StartRequest | undefined): void {
    if (this.#layers.size === 0) return;
    const { inBackground, services, signal } = this.#options;
    const digests = layers.map(({ handle }) => handle.layer.digest);
    const options = { config, start, layers: digests, mergedMeta: mergedMeta.path, signal };
    inBackground(foreseeImage(services, options));
  }

  /** What a layer says is read first, as soon as it is known where it is; the layer stays open meanwhile. */
  async #prefetch(digest: Digest): Promise<void> {
    const { services, signal } = this.#options;
    const { uses, fetcher, log } = services;
    await using used = await uses.use([digest]);
    try {
      for (const layer of used.layers) {
        const report = await fetcher.prefetch(layer, { signal });
        if (report.bytes > 0) log.debug({ layer: digest, ...report }, "prefetched");
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error, layer: digest }, "cannot prefetch");
    }
  }
}
