/**
 * The image that holds the TOCs of an image whose layers carry none.
 *
 * ```text
 * manifest   OCI image manifest under the tag of the image and "-esgztoc"
 *   config   an image config without anything to run
 *   layers   per converted layer, sorted by digest:
 *            tar+gzip with the one file stargz.index.json,
 *            annotation containerd.io/snapshot/stargz/layer.digest = the layer it belongs to
 * ```
 *
 * @module
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { encodeTocLayer } from "../estargz/index.ts";
import {
  EXTERNAL_TOC_SUFFIX,
  formatImageName,
  type ImageDestination,
  type ImageName,
} from "../image/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  encodeManifest,
  type ImageManifest,
  MEDIA_TYPES,
} from "../oci/index.ts";

/**
 * The name of the TOC image that belongs to an image name.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` where no name can be derived: a reference by digest, a medium without tags.
 */
export function tocImageNameOf(name: ImageName): ImageName {
  if (name.kind === "registry" && name.reference.digest === undefined && name.reference.tag !== undefined) {
    const { registry, repository, tag } = name.reference;
    return { kind: "registry", reference: { registry, repository, tag: tag + EXTERNAL_TOC_SUFFIX } };
  }
  if (name.kind === "oci") {
    return { kind: "oci", directory: name.directory, tag: (name.tag ?? "latest") + EXTERNAL_TOC_SUFFIX };
  }
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot name TOC image of "${formatImageName(name)}": expected a tag in a registry or an OCI layout, since readers find the TOCs under the tag and "${EXTERNAL_TOC_SUFFIX}"`,
  );
}

interface TocLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

/** Collects the TOCs of layers, which it writes at once, and ends them with a manifest. */
export class TocImage {
  readonly #destination: ImageDestination;
  readonly #layers = new Map<Digest, TocLayer>();

  constructor(destination: ImageDestination) {
    this.#destination = destination;
  }

  /** The name under which it will appear. */
  get name(): string {
    return this.#destination.name;
  }

  /** How many layers have their TOC in it. */
  get size(): number {
    return this.#layers.size;
  }

  /** Adds the TOC (its JSON) of a layer. */
  async add(
    layerDigest: Digest,
    toc: Uint8Array,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const bytes = await encodeTocLayer(toc);
    const diffId = sha256(await promisify(gunzip)(bytes));
    const { digest, size } = await this.#destination.writeBlob(bytes, options);
    const annotations = { [ANNOTATIONS.tocLayerDigest]: layerDigest };
    this.#layers.set(layerDigest, {
      descriptor: { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size, annotations },
      diffId,
    });
  }

  /** Writes config and manifest and gives the image its name. */
  async publish(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Descriptor> {
    const layers = [...this.#layers.values()].sort((a, b) => compareKeys(sortKey(a), sortKey(b)));
    const config = await this.#destination.writeBlob(encodeTocConfig(layers), options);
    const manifest: ImageManifest = {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
      layers: layers.map(({ descriptor }) => descriptor),
    };
    const content = { bytes: encodeManifest(manifest), mediaType: MEDIA_TYPES.ociManifest };
    const root = await this.#destination.writeManifest(content, options);
    await this.#destination.publish(root, options);
    return root;
  }
}

/** A config that ordinary tools can read; nothing in it can run. */
function encodeTocConfig(layers: readonly TocLayer[]): Uint8Array {
  const diffIds = layers.map(({ diffId }) => diffId);
  return encodeUtf8(
    JSON.stringify({ architecture: "unknown", os: "unknown", rootfs: { type: "layers", diff_ids: diffIds } }),
  );
}

/** Two layers may have the same TOC; what it belongs to tells them apart. */
function sortKey({ descriptor }: TocLayer): string {
  return `${descriptor.digest} ${descriptor.annotations?.[ANNOTATIONS.tocLayerDigest] ?? ""}`;
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
