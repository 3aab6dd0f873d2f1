/**
 * What a conversion can be told, checked once and completed with its defaults.
 *
 * @module
 */
import { type Clock, systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { ZstdDialect } from "../estargz/index.ts";
import type { ImageDestination } from "../image/index.ts";
import type { MediaTypeFamily, Platform } from "../oci/index.ts";
import type { ConvertEvent } from "./convert-report.ts";

/** What the layers become. */
export type ConvertFormat = "estargz" | "zstd:chunked" | "gzip" | "zstd" | "uncompressed";

/** Which implementation of deflate writes gzip members. */
export type DeflateName = "zlib" | "libdeflate";

/** What `convertImage()` is told. */
export interface ConvertOptions {
  readonly format: ConvertFormat;
  /** gzip 0 to 9 (libdeflate: to 12), zstd 1 to 22; default 6 for gzip, 3 for zstd. */
  readonly level?: number | undefined;
  /** The largest chunk of a file, in bytes; default 4 MiB. Only for the seekable formats. */
  readonly chunkSize?: number | undefined;
  /** Small files share a gzip member until it holds so many uncompressed bytes; default 0: never. Only for eStargz. */
  readonly minChunkSize?: number | undefined;
  /** Paths and globs of the files that come first in their layer, in order. Only for the seekable formats. */
  readonly prioritize?: readonly string[] | undefined;
  /** Puts the TOCs into an image of their own instead of into the layers. Only for eStargz. */
  readonly externalToc?: boolean | undefined;
  /** Opens the place of the TOC image; needed with `externalToc`. Its owner is the conversion, which disposes it. */
  readonly openTocDestination?: (() => Promise<ImageDestination>) | undefined;
  /**
   * Who reads the layers in parts; default `stargz`, and layers in either dialect pass. `containers` for Podman, Buildah,
   * skopeo and CRI-O: without landmarks, and with what rebuilds the tar. Only for zstd:chunked.
   */
  readonly zstdDialect?: ZstdDialect | undefined;
  /** Keeps the tar streams, and so the diff ids and the config, as they are. */
  readonly keepDiffId?: boolean | undefined;
  /** Recompresses layers that are in the wanted format already. */
  readonly force?: boolean | undefined;
  /** The platforms to convert from an index. With one, the result is a plain manifest; with more, an index of them. */
  readonly platforms?: readonly Platform[] | undefined;
  /** Converts every image of an index and keeps all of its other entries. */
  readonly allPlatforms?: boolean | undefined;
  /** The family of media types; default: oci for estargz, zstd:chunked and zstd, else that of the source. */
  readonly mediaTypes?: MediaTypeFamily | undefined;
  /** Who deflates; default zlib. */
  readonly compressor?: DeflateName | undefined;
  /** How many pieces are compressed at once, over all layers. Never changes the result. */
  readonly jobs: number;
  /** An existing directory for the tar of a layer whose files are put into another order. */
  readonly temporaryDirectory: string;
  /** Measures what the report says in milliseconds; default the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Is called as the conversion goes on; must not throw. */
  readonly onProgress?: ((event: ConvertEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Options with every default in its place; what contradicts itself does not get here. */
export interface ConvertSettings {
  readonly format: ConvertFormat;
  /** The format is one of which single files can be read: eStargz or zstd:chunked. */
  readonly seekable: boolean;
  readonly level: number;
  readonly chunkSize: number;
  readonly minChunkSize: number;
  readonly prioritize: readonly string[];
  readonly externalToc: boolean;
  readonly openTocDestination: (() => Promise<ImageDestination>) | undefined;
  /** Undefined: `stargz` is written, and either passes. */
  readonly zstdDialect: ZstdDialect | undefined;
  readonly keepDiffId: boolean;
  readonly force: boolean;
  readonly platforms: readonly Platform[];
  readonly allPlatforms: boolean;
  readonly mediaTypes: MediaTypeFamily | undefined;
  readonly compressor: DeflateName;
  readonly jobs: number;
  readonly temporaryDirectory: string;
  readonly clock: Clock;
  readonly onProgress: (event: ConvertEvent) => void;
}

const FORMATS: readonly string[] = ["estargz", "zstd:chunked", "gzip", "zstd", "uncompressed"];
const DEFAULT_CHUNK_SIZE = 4 << 20;
/** A chunk is held in memory as a whole wherever it is read. */
const MAX_CHUNK_SIZE = 64 << 20;
const DEFAULT_GZIP_LEVEL = 6;
const DEFAULT_ZSTD_LEVEL = 3;

/**
 * Completes options.
 *
 * @throws {EsgzError} `USAGE_INVALID` for values out of range and options that contradict each other; `NOT_SUPPORTED`
 * for what the formats cannot express.
 */
export function resolveOptions(options: ConvertOptions): ConvertSettings {
  const settings = completeOptions(options);
  checkNumbers(settings);
  checkFormat(settings, options);
  checkCombinations(settings);
  return settings;
}

function completeOptions(options: ConvertOptions): ConvertSettings {
  const { format } = options;
  if (!FORMATS.includes(format)) throw refused(`expected a format of ${FORMATS.join(", ")}, got "${format}"`);
  const seekable = format === "estargz" || format === "zstd:chunked";
  const zstd = format === "zstd" || format === "zstd:chunked";
  return {
    format,
    seekable,
    level: options.level ?? (zstd ? DEFAULT_ZSTD_LEVEL : DEFAULT_GZIP_LEVEL),
    chunkSize: options.chunkSize ?? DEFAULT_CHUNK_SIZE,
    minChunkSize: options.minChunkSize ?? 0,
    prioritize: options.prioritize ?? [],
    externalToc: options.externalToc ?? false,
    openTocDestination: options.openTocDestination,
    zstdDialect: options.zstdDialect,
    keepDiffId: options.keepDiffId ?? false,
    force: options.force ?? false,
    platforms: options.platforms ?? [],
    allPlatforms: options.allPlatforms ?? false,
    mediaTypes: options.mediaTypes ?? (seekable || zstd ? "oci" : undefined),
    compressor: options.compressor ?? "zlib",
    jobs: options.jobs,
    temporaryDirectory: options.temporaryDirectory,
    clock: options.clock ?? systemClock,
    onProgress: options.onProgress ?? (() => undefined),
  };
}

function checkNumbers(settings: ConvertSettings): void {
  const { level, chunkSize, minChunkSize, jobs } = settings;
  const [lowest, highest] = levelsOf(settings);
  checkInteger("level", level, [lowest, highest]);
  checkInteger("chunk size", chunkSize, [1, MAX_CHUNK_SIZE]);
  checkInteger("minimum chunk size", minChunkSize, [0, MAX_CHUNK_SIZE]);
  checkInteger("number of jobs", jobs, [1, 1024]);
}

function levelsOf({ format, compressor }: ConvertSettings): [number, number] {
  if (format === "zstd" || format === "zstd:chunked") return [1, 22];
  return compressor === "libdeflate" ? [0, 12] : [0, 9];
}

function checkInteger(what: string, value: number, [lowest, highest]: [number, number]): void {
  if (Number.isInteger(value) && value >= lowest && value <= highest) return;
  throw refused(`expected a ${what} from ${lowest} to ${highest}, got ${value}`);
}

function checkFormat({ format, seekable, mediaTypes }: ConvertSettings, given: ConvertOptions): void {
  if (!seekable) {
    if ((given.prioritize ?? []).length > 0) throw onlySeekable("a prioritized list", format);
    if (given.chunkSize !== undefined) throw onlySeekable("a chunk size", format);
  }
  if (format !== "estargz") {
    if (given.externalToc === true) throw onlyEstargz("an external TOC", format);
    if ((given.minChunkSize ?? 0) > 0) throw onlyEstargz("a minimum chunk size", format);
  }
  if (format !== "zstd:chunked" && given.zstdDialect !== undefined) {
    throw refused(`expected a dialect only with the format "zstd:chunked", got one with "${format}"`);
  }
  if (format === "uncompressed" && given.level !== undefined) {
    throw refused(`expected no level with the format "uncompressed", got ${given.level}`);
  }
  if (mediaTypes === "docker" && (seekable || format === "zstd")) {
    const reason = seekable
      ? "docker media types have no annotations, and without them the layers cannot be verified"
      : "docker has no media type for zstd layers that its own tools accept";
    throw unsupported(`expected oci media types for the format "${format}", got docker: ${reason}`);
  }
}

function checkCombinations(settings: ConvertSettings): void {
  const { format, keepDiffId, externalToc, prioritize, allPlatforms, platforms } = settings;
  if (keepDiffId && format === "estargz" && !externalToc) {
    throw unsupported(
      "expected an external TOC with kept diff ids, got an eStargz layer with its TOC inside: the TOC is a file of the layer's tar and changes its diff id",
    );
  }
  if (keepDiffId && settings.zstdDialect === "containers") {
    throw unsupported(
      'expected the dialect "stargz" with kept diff ids, got "containers": its headers must say what the TOC says, and are encoded anew',
    );
  }
  if (keepDiffId && prioritize.length > 0) {
    throw unsupported(
      "expected no prioritized files with kept diff ids, got some: putting files first changes the tar and its diff id",
    );
  }
  if (externalToc && settings.openTocDestination === undefined) {
    throw refused("expected a destination for the TOC image with an external TOC, got none");
  }
  if (allPlatforms && platforms.length > 0) {
    throw refused("expected either all platforms or some, got both");
  }
}

function onlySeekable(what: string, format: ConvertFormat): EsgzError {
  return refused(
    `expected ${what} only with the formats "estargz" and "zstd:chunked", got it with "${format}"`,
  );
}

function onlyEstargz(what: string, format: ConvertFormat): EsgzError {
  return refused(`expected ${what} only with the format "estargz", got it with "${format}"`);
}

function refused(reason: string): EsgzError {
  return new EsgzError("USAGE_INVALID", `Cannot convert image: ${reason}`);
}

function unsupported(reason: string): EsgzError {
  return new EsgzError("NOT_SUPPORTED", `Cannot convert image: ${reason}`);
}
