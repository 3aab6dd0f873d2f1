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

/** How often each is prepared: then the compiler has seen what is hot, and compiled it. */
const LARGE_ROUNDS = 12;
const SMALL_ROUNDS = 40;

/** The blobs of a made-up image, the lowest layer first. */
export type PracticeImage = readonly Uint8Array[];

/** Makes up the images to prepare, one after the other; many of them are the same. */
export async function makePracticeImages(): Promise<readonly PracticeImage[]> {
  const [large, small] = [await makeLayers(LARGE), await makeLayers(SMALL)];
  return [
    ...Array.from({ length: LARGE_ROUNDS }, () => large),
    ...Array.from({ length: SMALL_ROUNDS }, () => small),
  ];
}

async function makeLayers({ first, files, upperFiles }: PracticeSize): Promise<PracticeImage> {
  const upperFirst = first + files - upperFiles / 2;
  const lower = await makePracticeLayer({ first, files });
  const upper = await makePracticeLayer({ first: upperFirst, files: upperFiles });
  return [lower, upper];
}

/** Prepares a made-up image once, as an image is prepared: makes its layers, and merges them. */
export async function practisePreparation(layers: PracticeImage): Promise<void> {
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
