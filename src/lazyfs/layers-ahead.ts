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
import { EsgzError } from "../errors/index.ts";
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

/** What was told. */
export interface ToldLayers {
  /** The layer that is asked for. */
  readonly digest: Digest;
  /** Of its table of contents, from somebody who checked the manifest. */
  readonly tocDigest?: Digest | undefined;
  /** Where the tables of contents of layers lie: hints. */
  readonly tocPlaces?: ReadonlyMap<Digest, TocPlace> | undefined;
}

/** How to read and make layers. */
export interface LayersAheadOptions extends ReadOptions {
  readonly store: Pick<Store, "layers">;
  readonly source: Pick<ImageSource, "openBlob">;
  /** Who makes layers; default: this thread. */
  readonly threads?: PreparationThreads | undefined;
  /** Without it nothing is done: a layer that needs no proof is made from what it says itself. */
  readonly verification: "required" | "computed";
}

/** What was told may all be wrong: it must not hold much, nor keep connections from the manifest. */
const MAX_BYTES = 16 << 20;
const MAX_LAYERS = 16;
/** What a layer is asked for that was told wrong, or is no eStargz layer: by its descriptor it may go well. */
const TOLD_WRONG: ReadonlySet<string> = new Set([
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
/** Nobody looks at it: what proves a table of contents is all that a descriptor is asked for. */
const NO_DIGEST = `sha256:${"0".repeat(64)}` as const;

interface Begun extends LayerAhead {
  readonly blobSize: number;
  readonly tocDigest: Digest | undefined;
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
      const isNew = stored.then((digests) => !digests.has(layer));
      this.#begun.set(
        layer,
        this.#begin(layer, { place, isNew, tocDigest: layer === digest ? tocDigest : undefined }),
      );
    }
    // Told by those who wait for it, if there are any.
    stored.catch(() => undefined);
  }

  /** What was begun of the layer with a descriptor; undefined if nothing was, or for another one. */
  of({ digest, size, annotations }: Descriptor): LayerAhead | undefined {
    const begun = this.#begun.get(digest);
    if (begun?.blobSize !== size) return undefined;
    const isMade = begun.tocDigest !== undefined && begun.tocDigest === annotations?.[ANNOTATIONS.tocDigest];
    return { raw: begun.raw, made: isMade ? begun.made : undefined };
  }

  #begin(
    digest: Digest,
    told: {
      readonly place: TocPlace;
      readonly isNew: Promise<boolean>;
      readonly tocDigest: Digest | undefined;
    },
  ): Begun {
    const { place, tocDigest } = told;
    const raw = this.#read(digest, told);
    const made = tocDigest === undefined ? undefined : this.#make(raw, tocDigest).catch(() => undefined);
    raw.catch(() => undefined);
    return { blobSize: place.blobSize, tocDigest, raw, made };
  }

  async #read(
    digest: Digest,
    { place, isNew }: { readonly place: TocPlace; readonly isNew: Promise<boolean> },
  ): Promise<RawToc | undefined> {
    if (!(await isNew)) return undefined;
    const { source, signal } = this.#options;
    const { offset, blobSize: size } = place;
    const annotations = { [ANNOTATIONS.tocPlaces]: formatTocPlaces([place]) };
    const blob = source.openBlob({ mediaType: MEDIA_TYPES.ociLayerGzip, digest, size, annotations });
    try {
      return await readRawToc(blob, { annotations, signal, limits: { maxTocBytes: size - offset } });
    } catch (error) {
      if (error instanceof EsgzError && TOLD_WRONG.has(error.code)) return undefined;
      throw error;
    }
  }

  async #make(
    reading: Promise<RawToc | undefined>,
    tocDigest: Digest,
  ): Promise<MadeLayer | DeclinedLayer | undefined> {
    const raw = await reading;
    if (raw === undefined) return undefined;
    const { threads } = this.#options;
    const annotations = { [ANNOTATIONS.tocDigest]: tocDigest };
    const descriptor = {
      mediaType: MEDIA_TYPES.ociLayerGzip,
      digest: NO_DIGEST,
      size: raw.blobSize,
      annotations,
    };
    const material = { descriptor, raw };
    return await (threads === undefined ? makeLayer(material) : threads.makeLayer(material));
  }
}
