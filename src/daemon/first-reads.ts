/**
 * What will be read first of an image: brought while it is being mounted, or before.
 *
 * @module
 */
import type { ImageObserver } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type { LayerSummary, StartRequest } from "./control-protocol.ts";
import { foreseeImage, type ForeseeImageOptions } from "./foresee-image.ts";
import type { ReadyImage } from "./image-work.ts";
import type { Services } from "./services.ts";

/** How it is brought. */
export interface FirstReadsOptions {
  readonly services: Services;
  /** Whether anything is brought; else only what serves reads is made ready, as it is in any case. */
  readonly prefetch: boolean;
  /** How its program is started, where that differs from what the image says. */
  readonly start?: StartRequest | undefined;
  /** Takes work that nobody waits for. */
  readonly inBackground: (work: Promise<void>) => void;
  readonly signal: AbortSignal;
}

/** Whether bytes of a layer have yet to come. */
export function isIncomplete({ lazy, present }: Pick<LayerSummary, "lazy" | "present">): boolean {
  return lazy && present !== true;
}

/** The first reads of one mount. */
export class FirstReads {
  readonly #options: FirstReadsOptions;
  readonly #layers = new Set<Digest>();
  #isWarm = false;
  #hasProgram = false;

  constructor(options: FirstReadsOptions) {
    this.#options = options;
  }

  /**
   * Makes the connection that incomplete layers are shown through, once: the mount that comes now, or soon, needs not wait for it
   * then. What a machine cannot do the mount will say.
   */
  warm(): void {
    if (this.#isWarm) return;
    this.#isWarm = true;
    const { inBackground, services } = this.#options;
    const { log, views } = services;
    inBackground(
      views.warm().catch((error: unknown) => log.debug({ err: error }, "cannot get ready to mount")),
    );
  }

  /** Takes the events of `prepareImage()`: what is known of an image is brought before all is. */
  readonly onEvent: ImageObserver = (event) => {
    if (event.kind === "layer" && event.lazy) this.#addLayer(event.layer);
    if (event.kind === "layers") this.#addProgram(event);
  };

  /** All of an image is known, perhaps from the store. */
  addImage({ image, layers }: Pick<ReadyImage, "image" | "layers">): void {
    for (const { digest } of layers.filter(isIncomplete)) this.#addLayer(digest);
    const digests = layers.map(({ digest }) => digest);
    this.#addProgram({ config: image.config, layers: digests, mergedMeta: image.mergedMeta.path });
  }

  /** A layer that is not complete was found; each counts once. */
  #addLayer(digest: Digest): void {
    const { inBackground, prefetch, services } = this.#options;
    this.warm();
    services.fetcher.warm();
    if (this.#layers.has(digest) || !prefetch) return;
    this.#layers.add(digest);
    inBackground(this.#prefetch(digest));
  }

  /** All layers are known: what starting the image's program reads is brought, or another that was asked for. */
  #addProgram(image: Pick<ForeseeImageOptions, "config" | "layers" | "mergedMeta">): void {
    if (this.#layers.size === 0 || this.#hasProgram) return;
    this.#hasProgram = true;
    const { inBackground, services, signal, start } = this.#options;
    inBackground(foreseeImage(services, { ...image, start, signal }));
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
