/**
 * Tables of contents that lie in another image: `TAG-esgztoc`.
 *
 * Source: stargz-snapshotter's external TOC converter: one layer per eStargz layer, whose annotation
 * `containerd.io/snapshot/stargz/layer.digest` names the layer it belongs to.
 *
 * @module
 */
import { type ReadOptions, wholeRange } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  type ImageManifest,
  isManifestMediaType,
  parseManifest,
} from "../oci/index.ts";
import { assertContent } from "./checked-manifest.ts";
import type { ImageSource } from "./image-source.ts";

/** What is appended to an image's tag to name the image of its TOCs. */
export const EXTERNAL_TOC_SUFFIX = "-esgztoc";

/** A TOC of a million entries is smaller than this when compressed. */
const MAX_TOC_LAYER_BYTES = 150 << 20;

/** The TOC image of one image: looked up at the first question, once. */
export class ExternalTocs {
  readonly #source: ImageSource;
  #layers: Promise<ReadonlyMap<string, Descriptor>> | undefined;

  constructor(source: ImageSource) {
    this.#source = source;
  }

  /**
   * The bytes of the TOC layer (a tar.gz) of a layer, or undefined if there is none.
   *
   * @throws {EsgzError} `LIMIT_EXCEEDED`, `DIGEST_MISMATCH`, `MANIFEST_INVALID`; codes of the medium.
   */
  async fetchToc(layer: Digest, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    const descriptor = (await this.#resolve(options)).get(layer);
    if (descriptor === undefined) return undefined;
    if (descriptor.size > MAX_TOC_LAYER_BYTES) {
      throw new EsgzError(
        "LIMIT_EXCEEDED",
        `Cannot read external TOC: expected at most ${MAX_TOC_LAYER_BYTES} bytes, got ${descriptor.size}`,
      );
    }
    const blob = this.#source.openBlob(descriptor);
    const bytes = await blob.read(wholeRange(blob), options);
    assertContent(bytes, descriptor, "external TOC");
    return bytes;
  }

  /** A lookup that failed is not remembered: the next question asks again. */
  async #resolve(options: ReadOptions): Promise<ReadonlyMap<string, Descriptor>> {
    const lookup = (this.#layers ??= this.#lookUp(options));
    try {
      return await lookup;
    } catch (error) {
      if (this.#layers === lookup) this.#layers = undefined;
      throw error;
    }
  }

  async #lookUp(options: ReadOptions): Promise<ReadonlyMap<string, Descriptor>> {
    const content = await this.#source.fetchCompanion(EXTERNAL_TOC_SUFFIX, options);
    if (content === undefined || !isManifestMediaType(content.descriptor.mediaType)) return new Map();
    const manifest: ImageManifest = parseManifest(content.bytes);
    return new Map(
      manifest.layers.flatMap((layer) => {
        const owner = layer.annotations?.[ANNOTATIONS.tocLayerDigest];
        return owner === undefined ? [] : [[owner, layer] as const];
      }),
    );
  }
}
