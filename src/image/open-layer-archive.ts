/**
 * A layer as a seekable archive, where it is one.
 *
 * @module
 */
import type { BlobSource } from "../blob/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { type Archive, openRawToc, type RawToc, type UnverifiedArchive } from "../estargz/index.ts";
import { type FindTocOptions, proveToc, readLayerToc, type TocProof, tocProofOf } from "./find-layer-toc.ts";
import type { Layer } from "./image.ts";

/** How to open a layer. */
export interface OpenLayerOptions extends FindTocOptions {
  /**
   * `required` (default): only a table of contents that the manifest proves. `computed`: also one that nothing contradicts
   * and nothing proves; `verified` is then false.
   */
  readonly verification?: "required" | "computed" | undefined;
  /** The table of contents, if it was read before the descriptor was known. */
  readonly ahead?: Promise<RawToc | undefined> | undefined;
}

/** A layer's table of contents, read. */
export interface ProvenLayer {
  readonly kind: "seekable";
  readonly archive: Archive;
  /** Whether the manifest proves the table of contents. */
  readonly verified: boolean;
}

/** A layer that can be read in parts. */
export interface SeekableLayer extends ProvenLayer {
  readonly blob: BlobSource;
}

/** A layer's table of contents as it lies in the blob. Plain data, for another thread to open. */
export interface FoundLayerToc {
  readonly kind: "found";
  readonly raw: RawToc;
}

/** A layer that can only be read from its start. */
export interface OpaqueLayer {
  readonly kind: "opaque";
  /** Why, for people: a clause that follows "because". */
  readonly reason: string;
  /**
   * The manifest promises a table of contents that the blob does not have as promised: damage or tampering. What must be
   * proven may still be read whole (the blob's digest proves it), but this should be said, not passed over.
   */
  readonly mismatch: boolean;
  /** What was thrown, where something was. */
  readonly cause?: EsgzError | undefined;
}

/** What {@linkcode openLayerArchive} found. */
export type LayerArchive = SeekableLayer | OpaqueLayer;

/**
 * Opens a layer's table of contents with one read of the blob's tail (a second one where the table is larger; a
 * table outside is looked up beside the image, once per image). An ordinary layer is no error.
 *
 * @throws {EsgzError} codes of the medium only: the layer could not be read.
 */
export async function openLayerArchive(layer: Layer, options: OpenLayerOptions = {}): Promise<LayerArchive> {
  const found = await readLayerArchive(layer, options);
  if (found.kind === "opaque") return found;
  const proven = await proveLayerArchive(layer, { ...options, raw: found.raw });
  return proven.kind === "opaque" ? proven : { ...proven, blob: layer.blob };
}

/**
 * The first half of {@linkcode openLayerArchive}, which waits for the medium: finds the table of contents and reads it.
 *
 * @throws {EsgzError} codes of the medium only
 */
export async function readLayerArchive(
  layer: Layer,
  options: OpenLayerOptions = {},
): Promise<FoundLayerToc | OpaqueLayer> {
  const proof = tocProofOf(layer.descriptor.annotations);
  if (layer.compression === "uncompressed") return opaque("it is not compressed");
  // Every proof is an annotation, so a layer without one need not be read at all.
  if (proof.kind === "none" && options.verification !== "computed") {
    return opaque("its manifest names no table of contents");
  }
  try {
    return { kind: "found", raw: (await options.ahead) ?? (await readLayerToc(layer, options)) };
  } catch (error) {
    return opaqueFrom(error, proof);
  }
}

/** The second half of {@linkcode openLayerArchive}, which takes time of the processor: proves the table and decodes it. */
export async function proveLayerArchive(
  { descriptor }: Pick<Layer, "descriptor">,
  { raw, verification }: Pick<OpenLayerOptions, "verification"> & { readonly raw: RawToc },
): Promise<ProvenLayer | OpaqueLayer> {
  const proof = tocProofOf(descriptor.annotations);
  try {
    using found = await openRawToc(raw);
    return prove(found, { proof, verification });
  } catch (error) {
    return opaqueFrom(error, proof);
  }
}

function prove(
  found: UnverifiedArchive,
  { proof, verification }: Pick<OpenLayerOptions, "verification"> & { readonly proof: TocProof },
): ProvenLayer | OpaqueLayer {
  if (proof.kind === "unusable") {
    return { ...opaque(`the annotation "${proof.text}" is no digest`), mismatch: true };
  }
  const proven = proveToc(found, proof);
  if (proven !== undefined) return { kind: "seekable", archive: proven, verified: true };
  if (verification !== "computed") return opaque("its manifest does not prove its table of contents");
  return { kind: "seekable", archive: found.verify(found.tocDigest), verified: false };
}

function opaqueFrom(error: unknown, proof: TocProof): OpaqueLayer {
  if (!(error instanceof EsgzError)) throw error;
  switch (error.code) {
    case "FOOTER_INVALID":
      return { ...opaque("it has no table of contents that esgz knows"), cause: error };
    case "TOC_MISSING":
      return { ...opaque("its table of contents lies elsewhere and was not found"), cause: error };
    case "TOC_INVALID":
    case "LIMIT_EXCEEDED":
    case "COMPRESSION_INVALID":
    case "TAR_INVALID":
    case "PATH_INVALID":
    case "RANGE_INVALID":
    case "DIGEST_MISMATCH": {
      const reason = `its table of contents cannot be used (${messageOf(error)})`;
      return { ...opaque(reason), mismatch: proof.kind !== "none", cause: error };
    }
    default:
      throw error;
  }
}

function opaque(reason: string): OpaqueLayer {
  return { kind: "opaque", reason, mismatch: false };
}
