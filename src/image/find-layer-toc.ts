/**
 * From a layer to its unproven table of contents, and to what can prove it.
 *
 * @module
 */
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";
import { isEsgzError } from "../errors/index.ts";
import {
  type Archive,
  openRawToc,
  type RawToc,
  readRawToc,
  type UnverifiedArchive,
} from "../estargz/index.ts";
import { ANNOTATIONS, type AnnotationMap, type Digest, isDigest } from "../oci/index.ts";
import { ExternalTocs } from "./external-tocs.ts";
import type { Layer } from "./image.ts";
import type { ImageSource } from "./image-source.ts";

/** What a descriptor's annotations prove a table of contents with. */
export type TocProof =
  | { readonly kind: "json"; readonly digest: Digest }
  | { readonly kind: "compressed"; readonly digest: Digest }
  | { readonly kind: "none" }
  /** The annotation is there and is no digest. */
  | { readonly kind: "unusable"; readonly text: string };

/** How to look. */
export interface FindTocOptions extends ReadOptions {
  /** Where the layer's image is, for layers that were not made by `openImage` and whose TOC lies outside. */
  readonly source?: ImageSource | undefined;
}

/**
 * Reads a layer's tail and table of contents; one that lies outside is looked up beside the image.
 *
 * @throws {EsgzError} `FOOTER_INVALID` for an ordinary layer; `TOC_MISSING`, `TOC_INVALID`, `LIMIT_EXCEEDED`; codes of
 * the medium.
 */
export async function findLayerToc(layer: Layer, options: FindTocOptions = {}): Promise<UnverifiedArchive> {
  return await openRawToc(await readLayerToc(layer, options));
}

/**
 * Reads a layer's tail and table of contents as they are; one that lies outside is looked up beside the image.
 *
 * @throws {EsgzError} as {@linkcode findLayerToc}
 */
export async function readLayerToc(layer: Layer, options: FindTocOptions = {}): Promise<RawToc> {
  const { signal } = options;
  const { annotations } = layer.descriptor;
  const blob = new RememberedBlob(layer.blob);
  try {
    return await readRawToc(blob, { annotations, signal });
  } catch (error) {
    const tocs = layer.externalTocs ?? (options.source && new ExternalTocs(options.source));
    if (!isEsgzError(error, "TOC_MISSING") || tocs === undefined) throw error;
    const externalToc = await tocs.fetchToc(layer.descriptor.digest, { signal });
    if (externalToc === undefined) throw error;
    return await readRawToc(blob, { annotations, signal, externalToc });
  }
}

/** What proves the table of contents of a layer with these annotations. */
export function tocProofOf(annotations: AnnotationMap | null | undefined): TocProof {
  const json = annotations?.[ANNOTATIONS.tocDigest];
  if (json !== undefined) {
    return isDigest(json) ? { kind: "json", digest: json } : { kind: "unusable", text: json };
  }
  const compressed = annotations?.[ANNOTATIONS.zstdChecksum] ?? annotations?.[ANNOTATIONS.zstdChecksumStargz];
  if (compressed === undefined) return { kind: "none" };
  return isDigest(compressed)
    ? { kind: "compressed", digest: compressed }
    : { kind: "unusable", text: compressed };
}

/**
 * Proves a table of contents; undefined if there is nothing to prove it with.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export function proveToc(found: UnverifiedArchive, proof: TocProof): Archive | undefined {
  if (proof.kind === "json") return found.verify(proof.digest);
  if (proof.kind === "compressed") return found.verifyCompressedToc(proof.digest);
  return undefined;
}

/** Serves reads that lie inside an earlier one from memory, so that opening twice reads the tail once. */
class RememberedBlob implements BlobSource {
  readonly size: number;
  readonly #blob: BlobSource;
  readonly #reads: { readonly range: ByteRange; readonly bytes: Uint8Array }[] = [];

  constructor(blob: BlobSource) {
    this.#blob = blob;
    this.size = blob.size;
  }

  async read(range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array> {
    const known = this.#reads.find((read) => isInside(range, read.range));
    if (known !== undefined) {
      const start = range.offset - known.range.offset;
      return known.bytes.subarray(start, start + range.size);
    }
    const bytes = await this.#blob.read(range, options);
    this.#reads.push({ range, bytes });
    return bytes;
  }

  stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    return this.#blob.stream(range, options);
  }
}

function isInside(inner: ByteRange, outer: ByteRange): boolean {
  return inner.offset >= outer.offset && inner.offset + inner.size <= outer.offset + outer.size;
}
