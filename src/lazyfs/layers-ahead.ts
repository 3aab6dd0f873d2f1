/**
 * Layers of an image whose manifest is on its way: somebody has told where their tables of contents lie, and they are read
 * meanwhile. The layer that is asked for, of whose table the digest was told, too, is made.
 *
 * ```text
 * told ──┬── manifest ─────────────────┬── layer 0: in the store
 *        ├── tail of layer 0 ── made ──┤
 *        ├── tail of layer 1 ──────────┼── layer 1: proven, made, in the store
 *        └── tail of layer 2 ──────────┴── ...
 * ```
 *
 * What was told wrong costs requests, and nothing else. What is in the store is not read, by whatever table it is there.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError, type ErrorCode } from "../errors/index.ts";
import { type RawToc, readRawToc } from "../estargz/index.ts";
import type { ImageSource } from "../image/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  formatTocPlaces,
  MEDIA_TYPES,
  type TocPlace,
} from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import type { DeclinedLayer } from "./declined-layer.ts";
import type { LayerAhead } from "./layer-ahead.ts";
import { type MadeLayer, makeLayer } from "./make-layer.ts";
import type { PreparationThreads } from "./preparation-threads.ts";

/** What was told of an image's layers. */
export interface ToldLayers {
  /** The layer that is asked for first. */
  readonly digest: Digest;
  /** Of its table of contents, from somebody who checked the manifest. */
  readonly tocDigest?: Digest | undefined;
  /** Where the tables of contents of this layer and of others lie, as far as it was said: hints. */
  readonly tocPlaces?: ReadonlyMap<Digest, TocPlace> | undefined;
}

/** How to read and make layers. */
export interface LayersAheadOptions extends ReadOptions {
  readonly store: Pick<Store, "layers">;
  readonly source: Pick<ImageSource, "openBlob">;
  /** Who makes layers; default: this thread. */
  readonly threads?: Pick<PreparationThreads, "makeLayer"> | undefined;
  /** Without it nothing is done: a layer that needs no proof is made from what it says itself. */
  readonly verification: "required" | "computed";
}

/** What was told may all be wrong: it must not hold much, nor keep connections from the manifest. */
const MAX_BYTES = 16 << 20;
const MAX_LAYERS = 16;
/** What a layer is asked for that was told wrong, or is no eStargz layer: by its descriptor it may go well. */
const TOLD_WRONG: ReadonlySet<ErrorCode> = new Set([
  "FOOTER_INVALID",
  "LIMIT_EXCEEDED",
  "NOT_SUPPORTED",
  "RANGE_INVALID",
  "REGISTRY_NOT_FOUND",
  "REGISTRY_PROTOCOL",
  "SIZE_MISMATCH",
  "TOC_INVALID",
  "TOC_MISSING",
]);
interface Begun extends LayerAhead {
  /** As it was told. */
  readonly descriptor: Descriptor;
}

/** Layers that are being read or made. To be let go when their descriptors are known: it holds what it has read. */
export class LayersAhead {
  readonly #options: LayersAheadOptions;
  readonly #begun = new Map<Digest, Begun>();

  /** Begins with all that was told. */
  constructor({ digest, tocDigest, tocPlaces = new Map() }: ToldLayers, options: LayersAheadOptions) {
    this.#options = options;
    if (options.verification !== "required" || tocDigest === undefined) return;
    const stored = options.store.layers().then((digests) => new Set(digests));
    let bytes = 0;
    for (const [layer, place] of tocPlaces) {
      const size = place.blobSize - place.offset;
      if (this.#begun.size >= MAX_LAYERS) break;
      if (bytes + size > MAX_BYTES) continue;
      bytes += size;
      const descriptor = toldDescriptor(layer, {
        place,
        tocDigest: layer === digest ? tocDigest : undefined,
      });
      const isNew = stored.then((digests) => !digests.has(layer));
      this.#begun.set(layer, this.#begin(descriptor, { isNew, maxTocBytes: size }));
    }
    // Told by those who wait for it, if there are any.
    stored.catch(() => undefined);
  }

  /** What was begun of the layer with a descriptor; undefined if nothing was, or for another one. */
  of({ digest, size, annotations }: Descriptor): LayerAhead | undefined {
    const begun = this.#begun.get(digest);
    if (begun?.descriptor.size !== size) return undefined;
    const { descriptor: told, raw, made } = begun;
    const isMade = told.annotations?.[ANNOTATIONS.tocDigest] === annotations?.[ANNOTATIONS.tocDigest];
    return { raw, made: isMade ? made : undefined };
  }

  #begin(
    descriptor: Descriptor,
    options: { readonly isNew: Promise<boolean>; readonly maxTocBytes: number },
  ): Begun {
    const raw = this.#read(descriptor, options);
    raw.catch(() => undefined);
    const isProven = descriptor.annotations?.[ANNOTATIONS.tocDigest] !== undefined;
    const made = isProven ? this.#make(descriptor, raw).catch(() => undefined) : undefined;
    return { descriptor, raw, made };
  }

  async #read(
    descriptor: Descriptor,
    { isNew, maxTocBytes }: { readonly isNew: Promise<boolean>; readonly maxTocBytes: number },
  ): Promise<RawToc | undefined> {
    if (!(await isNew)) return undefined;
    const { source, signal } = this.#options;
    const { annotations } = descriptor;
    try {
      return await readRawToc(source.openBlob(descriptor), { annotations, signal, limits: { maxTocBytes } });
    } catch (error) {
      if (error instanceof EsgzError && TOLD_WRONG.has(error.code)) return undefined;
      throw error;
    }
  }

  async #make(
    descriptor: Descriptor,
    reading: Promise<RawToc | undefined>,
  ): Promise<MadeLayer | DeclinedLayer | undefined> {
    const raw = await reading;
    const { threads = { makeLayer } } = this.#options;
    return raw === undefined ? undefined : await threads.makeLayer({ descriptor, raw });
  }
}

/** As much of a descriptor as was told: to read a table of contents takes its place, and to prove it its digest. */
function toldDescriptor(
  digest: Digest,
  { place, tocDigest }: { readonly place: TocPlace; readonly tocDigest: Digest | undefined },
): Descriptor {
  const annotations = {
    [ANNOTATIONS.tocPlaces]: formatTocPlaces([place]),
    ...(tocDigest === undefined ? {} : { [ANNOTATIONS.tocDigest]: tocDigest }),
  };
  return { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size: place.blobSize, annotations };
}
