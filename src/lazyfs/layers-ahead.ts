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
 * What was told wrong costs requests, and nothing else: what the manifest does not have is forgotten.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import type { RawToc } from "../estargz/index.ts";
import { type ImageSource, type Layer, readLayerArchive } from "../image/index.ts";
import {
  ANNOTATIONS,
  type AnnotationMap,
  type Descriptor,
  type Digest,
  formatTocPlaces,
  MEDIA_TYPES,
  type TocPlace,
} from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import type { LayerAhead } from "./layer-ahead.ts";
import { type MadeLayer, makeLayer } from "./make-layer.ts";
import { openSoundLayer } from "./open-lazy-layer.ts";
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
  readonly store: Store;
  readonly source: Pick<ImageSource, "openBlob">;
  /** Who makes layers; default: this thread. */
  readonly threads?: PreparationThreads | undefined;
  /** Without it nothing is done: a layer that needs no proof is made from what it says itself. */
  readonly verification: "required" | "computed";
}

/** More is left to when the manifest is here: what was told may all be wrong. */
const MAX_BYTES = 16 << 20;
const MAX_LAYERS = 32;

interface Begun extends LayerAhead {
  readonly blobSize: number;
  readonly tocDigest: Digest | undefined;
}

/** Layers that are being read or made. */
export class LayersAhead {
  readonly #options: LayersAheadOptions;
  readonly #begun = new Map<Digest, Begun>();

  /** Begins with all that was told. */
  constructor({ digest, tocDigest, tocPlaces = new Map() }: ToldLayers, options: LayersAheadOptions) {
    this.#options = options;
    if (options.verification !== "required" || tocDigest === undefined) return;
    let bytes = 0;
    for (const [layer, place] of tocPlaces) {
      bytes += place.blobSize - place.offset;
      if (bytes > MAX_BYTES || this.#begun.size >= MAX_LAYERS) break;
      this.#begun.set(layer, this.#begin(layer, place, layer === digest ? tocDigest : undefined));
    }
  }

  /** What was begun of the layer with a descriptor; undefined if nothing was, or for another one. */
  of({ digest, size, annotations }: Descriptor): LayerAhead | undefined {
    const begun = this.#begun.get(digest);
    if (begun?.blobSize !== size) return undefined;
    const isMade = begun.tocDigest !== undefined && begun.tocDigest === annotations?.[ANNOTATIONS.tocDigest];
    return { raw: begun.raw, made: isMade ? begun.made : undefined };
  }

  #begin(digest: Digest, place: TocPlace, tocDigest: Digest | undefined): Begun {
    const annotations = {
      [ANNOTATIONS.tocPlaces]: formatTocPlaces([place]),
      ...(tocDigest === undefined ? {} : { [ANNOTATIONS.tocDigest]: tocDigest }),
    };
    const raw = this.#read(digest, place, annotations).catch(() => undefined);
    const made = tocDigest === undefined ? undefined : this.#make(raw, annotations).catch(() => undefined);
    return { blobSize: place.blobSize, tocDigest, raw, made };
  }

  async #read(
    digest: Digest,
    { blobSize }: TocPlace,
    annotations: AnnotationMap,
  ): Promise<RawToc | undefined> {
    const { store, source, signal } = this.#options;
    const tocDigest = annotations[ANNOTATIONS.tocDigest] as Digest | undefined;
    const known = await openSoundLayer(store, digest, tocDigest ?? "any");
    await known?.close();
    if (known !== undefined) return undefined;
    const descriptor = { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size: blobSize, annotations };
    const layer: Layer = { index: 0, descriptor, compression: "gzip", blob: source.openBlob(descriptor) };
    const found = await readLayerArchive(layer, { verification: "computed", signal });
    return found.kind === "found" ? found.raw : undefined;
  }

  async #make(
    reading: Promise<RawToc | undefined>,
    annotations: AnnotationMap,
  ): Promise<MadeLayer | undefined> {
    const raw = await reading;
    if (raw === undefined) return undefined;
    const { threads } = this.#options;
    // What proves it is all that a descriptor is asked for.
    const descriptor = {
      mediaType: MEDIA_TYPES.ociLayerGzip,
      digest: NO_DIGEST,
      size: raw.blobSize,
      annotations,
    };
    const material = { descriptor, raw };
    const made = await (threads === undefined ? makeLayer(material) : threads.makeLayer(material));
    return made.kind === "made" ? made : undefined;
  }
}

const NO_DIGEST = `sha256:${"0".repeat(64)}` as const;
