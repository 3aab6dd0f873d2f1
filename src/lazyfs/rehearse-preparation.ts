/**
 * Practice for a thread that will prepare images: the first one finds the code compiled.
 *
 * @module
 */
import { MemoryBlob } from "../blob/index.ts";
import { readRawToc } from "../estargz/index.ts";
import { type Descriptor, MEDIA_TYPES } from "../oci/index.ts";
import { makeLayer } from "./make-layer.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";
import { makePracticeLayer } from "./practice-layer.ts";

/** Entries of the two layers that are practised on, the second over the end of the first. */
const FILES = 1500;
const UPPER_FILES = 500;
/** Nobody looks at it: the table of contents is taken as it is. */
const NO_DIGEST = `sha256:${"0".repeat(64)}` as const;

/** The blobs of a made-up image, the lowest layer first. */
export async function makePracticeLayers(): Promise<readonly Uint8Array[]> {
  const lower = await makePracticeLayer({ files: FILES });
  const upper = await makePracticeLayer({ files: UPPER_FILES, first: FILES - UPPER_FILES / 2 });
  return [lower, upper];
}

/** Prepares a made-up image once, as an image is prepared: makes its layers, and merges them. */
export async function practisePreparation(layers: readonly Uint8Array[]): Promise<void> {
  const metas: Uint8Array[] = [];
  const dataSizes: number[] = [];
  for (const blob of layers) {
    const raw = await readRawToc(new MemoryBlob(blob));
    const made = await makeLayer({ descriptor: descriptorOf(blob), raw, verification: "computed" });
    if (made.kind === "declined") throw made.cause ?? new Error(made.reason);
    metas.push(made.meta);
    dataSizes.push(made.dataSize);
  }
  mergeLayerMetas(metas, dataSizes);
}

function descriptorOf(blob: Uint8Array): Descriptor {
  return { mediaType: MEDIA_TYPES.ociLayerGzip, digest: NO_DIGEST, size: blob.length };
}
