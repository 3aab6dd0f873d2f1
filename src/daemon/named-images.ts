/**
 * What images consist of, by the names that container engines call them.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import { type Layer, openImage, openImageSource } from "../image/index.ts";
import { ANNOTATIONS, type Digest, parseReference } from "../oci/index.ts";
import { hostPlatform } from "./host-platform.ts";
import type { RegistryClients } from "./registry-clients.ts";

/** An image of a registry, without contents. */
export interface NamedImage {
  readonly manifest: Digest;
  readonly layers: readonly Layer[];
}

interface Known {
  readonly image: Promise<NamedImage>;
  readonly beganMs: number;
  /** Of who asked first. */
  readonly signal: AbortSignal | undefined;
}

/** An engine asks for all layers of an image, one after the other. */
const KEPT_MS = 120_000;
/** A tag may name another image by now. */
const FRESH_MS = 1000;
const MAX_IMAGES = 30;

/** Reads manifests and configs, and remembers the last ones for a while. */
export class NamedImages {
  readonly #clients: RegistryClients;
  readonly #images = new Map<string, Known>();

  constructor(clients: RegistryClients) {
    this.#clients = clients;
  }

  /** The image of a name. @throws {EsgzError} `REFERENCE_INVALID`; as `openImage()` */
  async open(reference: string, options: ReadOptions): Promise<NamedImage> {
    return await this.#recent(reference, { ...options, maxAgeMs: KEPT_MS });
  }

  /**
   * A layer of an image by the digest of its blob or of its table of contents, and whether the image has several of that digest.
   *
   * @throws {EsgzError} as `open()`
   */
  async layer(
    { reference, digest }: { readonly reference: string; readonly digest: Digest },
    options: ReadOptions,
  ): Promise<
    { readonly image: NamedImage; readonly layer: Layer; readonly isRepeated: boolean } | undefined
  > {
    for (const maxAgeMs of [KEPT_MS, FRESH_MS]) {
      const image = await this.#recent(reference, { ...options, maxAgeMs });
      const [layer, ...others] = image.layers.filter(
        ({ descriptor }) =>
          descriptor.digest === digest || descriptor.annotations?.[ANNOTATIONS.tocDigest] === digest,
      );
      if (layer !== undefined) return { image, layer, isRepeated: others.length > 0 };
    }
    return undefined;
  }

  async #recent(
    reference: string,
    { signal, maxAgeMs }: ReadOptions & { readonly maxAgeMs: number },
  ): Promise<NamedImage> {
    const known = this.#images.get(reference);
    const nowMs = systemClock.nowMs();
    if (known === undefined || nowMs - known.beganMs >= maxAgeMs) return await this.#begin(reference, signal);
    try {
      return await known.image;
    } catch (error) {
      // Whoever asked first has left: that is no answer for others.
      if (known.signal?.aborted !== true || signal?.aborted === true) throw error;
      return await this.#recent(reference, { signal, maxAgeMs });
    }
  }

  async #begin(reference: string, signal: AbortSignal | undefined): Promise<NamedImage> {
    const image = this.#open(reference, { signal });
    this.#images.delete(reference);
    this.#images.set(reference, { image, beganMs: systemClock.nowMs(), signal });
    image.catch(() => {
      if (this.#images.get(reference)?.image === image) this.#images.delete(reference);
    });
    for (const oldest of this.#images.keys()) {
      if (this.#images.size <= MAX_IMAGES) break;
      this.#images.delete(oldest);
    }
    return await image;
  }

  async #open(name: string, options: ReadOptions): Promise<NamedImage> {
    const reference = parseReference(name);
    const registry = await this.#clients.clientFor(this.#clients.accessOf(reference));
    const source = await openImageSource({ kind: "registry", reference }, { registry, ...options });
    const { descriptor, layers } = await openImage(source, { platform: hostPlatform(), ...options });
    return { manifest: descriptor.digest, layers };
  }
}
