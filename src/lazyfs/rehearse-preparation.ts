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

/** What made-up images hold: the entries of two layers, the second over the end of the first. */
interface PracticeSize {
  readonly first: number;
  readonly files: number;
  readonly upperFiles: number;
}

/** Its tables grow, and it has all that there is. */
const LARGE: PracticeSize = { first: 0, files: 1150, upperFiles: 300 };
/** Directories of all kinds, and little garbage. */
const SMALL: PracticeSize = { first: 150, files: 200, upperFiles: 100 };
/** Nobody looks at it: the table of contents is taken as it is. */
const NO_DIGEST = `sha256:${"0".repeat(64)}` as const;

/** The blobs of made-up images, of each the lowest layer first. */
export interface PracticeImages {
  readonly large: readonly Uint8Array[];
  readonly small: readonly Uint8Array[];
}

/** Makes up images. */
export async function makePracticeImages(): Promise<PracticeImages> {
  return { large: await makeLayers(LARGE), small: await makeLayers(SMALL) };
}

async function makeLayers({ first, files, upperFiles }: PracticeSize): Promise<readonly Uint8Array[]> {
  const upperFirst = first + files - upperFiles / 2;
  const lower = await makePracticeLayer({ first, files });
  const upper = await makePracticeLayer({ first: upperFirst, files: upperFiles });
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
