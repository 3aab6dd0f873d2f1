/**
 * A layer of which its descriptor is not known yet, but what proves its table of contents, and where that lies: it is read and
 * made while the manifest is on its way.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import { type ImageSource, readLayerArchive } from "../image/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  formatTocPlace,
  MEDIA_TYPES,
  type TocPlace,
} from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import { type MadeLayer, makeLayer } from "./make-layer.ts";
import { openSoundLayer } from "./open-lazy-layer.ts";
import type { PreparationThreads } from "./preparation-threads.ts";

/** What is known of the layer. */
export interface LayerFacts {
  readonly digest: Digest;
  /** Of its table of contents, from somebody who checked the manifest. */
  readonly tocDigest: Digest;
  /** A hint. */
  readonly tocPlace: TocPlace;
}

/** How to make it. */
export interface MakeLayerAheadOptions extends ReadOptions {
  readonly store: Store;
  readonly source: Pick<ImageSource, "openBlob">;
  /** Default: this thread. */
  readonly threads?: PreparationThreads | undefined;
}

/** A layer that is being made. */
export interface LayerAhead {
  /** Resolves with the layer; undefined if it is in the store, or whatever went wrong. It never rejects. */
  readonly made: Promise<MadeLayer | undefined>;
  /** Whether it is the layer that a manifest has. */
  isOf: (descriptor: Descriptor) => boolean;
}

/** Begins to make a layer. What the facts promise is proven, and where they are wrong, nothing is made. */
export function makeLayerAhead(facts: LayerFacts, options: MakeLayerAheadOptions): LayerAhead {
  const { digest, tocDigest, tocPlace } = facts;
  const isOf = ({ digest: found, size, annotations }: Descriptor): boolean =>
    found === digest && size === tocPlace.blobSize && annotations?.[ANNOTATIONS.tocDigest] === tocDigest;
  return { made: make(facts, options).catch(() => undefined), isOf };
}

async function make(
  { digest, tocDigest, tocPlace }: LayerFacts,
  { store, source, threads, signal }: MakeLayerAheadOptions,
): Promise<MadeLayer | undefined> {
  const known = await openSoundLayer(store, digest, tocDigest);
  await known?.close();
  if (known !== undefined) return undefined;
  const annotations = {
    [ANNOTATIONS.tocDigest]: tocDigest,
    [ANNOTATIONS.tocPlace]: formatTocPlace(tocPlace),
  };
  const mediaType = MEDIA_TYPES.ociLayerGzip;
  const descriptor = { mediaType, digest, size: tocPlace.blobSize, annotations };
  const blob = source.openBlob(descriptor);
  const found = await readLayerArchive({ index: 0, descriptor, compression: "gzip", blob }, { signal });
  if (found.kind === "opaque") return undefined;
  const material = { descriptor, raw: found.raw };
  const made = await (threads === undefined ? makeLayer(material) : threads.makeLayer(material));
  return made.kind === "made" ? made : undefined;
}
