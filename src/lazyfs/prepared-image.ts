/**
 * An image whose metadata is in the store: ready to be mounted.
 *
 * @module
 */
import { formatImageName, parseImageName } from "../image/index.ts";
import { isEsgzError } from "../errors/index.ts";
import type { Descriptor, Digest, ImageConfig, Platform } from "../oci/index.ts";
import type { LayerHandle } from "../store/index.ts";

/** A layer of a {@link PreparedImage}. */
export interface PreparedLayer {
  /** Open until the image is closed. An image that has a layer twice has one handle twice. */
  readonly handle: LayerHandle;
  readonly descriptor: Descriptor;
  /** Whether its chunks can be fetched one by one; else all of them are there. */
  readonly lazy: boolean;
  /** Why it had to be read whole, where that was done now: a clause that follows "because". */
  readonly reason?: string | undefined;
}

/** The metadata of all layers as one image. */
export interface MergedMetaFile {
  readonly digest: Digest;
  /** An EROFS image with one device for each layer, in their order. Verified when the image was opened. */
  readonly path: string;
}

/** An image whose layers are open in the store. Closing gives them back. */
export interface PreparedImage extends AsyncDisposable {
  /** The reference in full, as the store's record has it. */
  readonly name: string;
  /** What the reference pointed to: an index or the manifest. */
  readonly root: Digest;
  readonly manifest: Digest;
  readonly platform: Platform;
  readonly config: ImageConfig;
  readonly configBytes: Uint8Array;
  /** The lowest first. */
  readonly layers: readonly PreparedLayer[];
  readonly mergedMeta: MergedMetaFile;
  /** Gives the layers back; further calls do nothing. */
  close(): Promise<void>;
}

/** What {@linkcode createPreparedImage} adds to. */
export type PreparedParts = Omit<PreparedImage, "close" | typeof Symbol.asyncDispose>;

/** An image that owns the handles of its layers. */
export function createPreparedImage(parts: PreparedParts): PreparedImage {
  const close = async (): Promise<void> => await closeLayers(parts.layers);
  return { ...parts, close, [Symbol.asyncDispose]: close };
}

/** Gives back layers, all of them, then throws the first failure. */
export async function closeLayers(layers: Iterable<Pick<PreparedLayer, "handle">>): Promise<void> {
  const outcomes = await Promise.allSettled(Array.from(layers, ({ handle }) => handle.close()));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

/** The name under which the store remembers an image: that of a registry in full, so that `app` and `app:latest` are one. */
export function recordedName(name: string): string {
  try {
    return formatImageName(parseImageName(name));
  } catch (error) {
    if (isEsgzError(error, "REFERENCE_INVALID")) return name;
    throw error;
  }
}

/** The digest that a name pins, if it does. */
export function pinnedDigest(name: string): Digest | undefined {
  try {
    const parsed = parseImageName(name);
    return parsed.kind === "registry" ? parsed.reference.digest : undefined;
  } catch (error) {
    if (isEsgzError(error, "REFERENCE_INVALID")) return undefined;
    throw error;
  }
}
