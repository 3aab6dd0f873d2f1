/**
 * What all layers and images of one conversion share.
 *
 * @module
 */
import { Semaphore } from "../async/index.ts";
import { type Compressor, createCompressor } from "../estargz/index.ts";
import type { ImageDestination, ImageSource } from "../image/index.ts";
import type { Digest } from "../oci/index.ts";
import type { ConvertSettings } from "./convert-options.ts";
import type { LayerAction, LayerTransfer } from "./convert-report.ts";
import type { WrittenLayer } from "./layer-descriptor.ts";
import { parsePrioritizedList } from "./prioritized-paths.ts";
import type { PathGlob } from "./path-glob.ts";
import { withSharedJobs } from "./shared-compressor.ts";
import type { TocImage } from "./toc-image.ts";

/** How many layers are read, compressed and written at the same time. */
export const LAYERS_AT_ONCE = 4;

/** Bytes in memory between reading and writing, over all layers: enough chunks of 4 MiB to keep a dozen cores busy. */
export const MAX_BYTES_IN_FLIGHT: number = 24 << 20;

/** What became of a layer's content. */
export interface LayerOutcome {
  readonly action: Exclude<LayerAction, "reused">;
  readonly transfer: LayerTransfer;
  readonly reason: string;
  readonly diffId: Digest;
  /** The new blob; undefined if the layer keeps its own. */
  readonly written?: WrittenLayer | undefined;
  readonly tocDigest?: Digest | undefined;
}

/** One conversion under way. */
export interface Conversion {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  readonly settings: ConvertSettings;
  /** Compresses for all layers with the one bound on jobs; undefined if nothing is to be compressed. */
  readonly compressor: Compressor | undefined;
  readonly globs: readonly PathGlob[];
  readonly tocImage: TocImage | undefined;
  /** What became of the layers so far, by what identifies their content. */
  readonly outcomes: Map<string, Promise<LayerOutcome>>;
  /** The prioritized patterns that some layer matched. */
  readonly matched: Set<string>;
  readonly warnings: string[];
}

/**
 * Sets up a conversion.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` if the wanted compressor is not on this machine.
 */
export function createConversion(
  source: ImageSource,
  destination: ImageDestination,
  options: { readonly settings: ConvertSettings; readonly tocImage: TocImage | undefined },
): Conversion {
  const { settings, tocImage } = options;
  return {
    source,
    destination,
    settings,
    compressor: openCompressor(settings),
    globs: parsePrioritizedList(settings.prioritize),
    tocImage,
    outcomes: new Map(),
    matched: new Set(),
    warnings: [],
  };
}

function openCompressor({ format, compressor, jobs }: ConvertSettings): Compressor | undefined {
  if (format === "uncompressed") return undefined;
  const zstd = format === "zstd" || format === "zstd:chunked";
  return withSharedJobs(createCompressor(zstd ? "zstd" : compressor), new Semaphore(jobs));
}
