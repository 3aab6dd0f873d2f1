/**
 * `esgz convert`: makes seekable images of ordinary ones.
 *
 * @module
 */
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Command, Option } from "commander";
import type { ConvertEvent, ConvertFormat, ConvertOptions, ConvertReport } from "../../convert/index.ts";
import { hostPlatform } from "../../daemon/index.ts";
import type { ImageDestination, ImageName } from "../../image/index.ts";
import { type Platform, parsePlatform, shortDigest } from "../../oci/index.ts";
import type { RegistryClient } from "../../registry/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatDuration, formatTable } from "../format.ts";
import { parseSize, parseWhole } from "../parse-flags.ts";
import type { ProgressBoard } from "../progress-board.ts";
import { readFlagFile } from "../read-flag-file.ts";
import { addRegistryFlags, collect, openRegistryClient, type RegistryFlags } from "../registry-access.ts";

interface Flags extends SharedFlags, RegistryFlags {
  readonly format: ConvertFormat;
  readonly level?: number;
  readonly chunkSize?: number;
  readonly minChunkSize?: number;
  readonly prioritize?: string;
  readonly externalToc?: boolean;
  readonly zstdDialect?: "stargz" | "containers";
  readonly keepDiffId?: boolean;
  readonly force?: boolean;
  readonly platform?: readonly string[];
  readonly allPlatforms?: boolean;
  readonly mediaTypes?: "oci" | "docker";
  readonly compressor?: "zlib" | "libdeflate";
  readonly jobs?: number;
}

const FORMATS: readonly ConvertFormat[] = ["estargz", "zstd:chunked", "gzip", "zstd", "uncompressed"];

/** Adds the command. */
export function registerConvert(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("convert")))
    .description("convert an image, layer by layer, while it is copied")
    .argument("<source>", "image to read")
    .argument("<destination>", "image to write")
    .addOption(new Option("--format <format>", "what the layers become").choices(FORMATS).default("estargz"))
    .option("--level <n>", "compression level (default: 6 for gzip, 3 for zstd)", parseWhole)
    .option("--chunk-size <bytes>", "largest piece that is fetched at once (default: 4MiB)", parseSize)
    .option("--min-chunk-size <bytes>", "let small files share a member until it holds so much", parseSize)
    .option("--prioritize <file>", "list of paths and globs that come first in their layer, one a line")
    .option("--external-toc", "keep the layers free of TOCs; they go to the image DESTINATION-esgztoc")
    .addOption(
      new Option("--zstd-dialect <name>", "who reads zstd:chunked in parts (default: stargz)").choices([
        "stargz",
        "containers",
      ]),
    )
    .option("--keep-diff-id", "keep every byte of the tars, and so the image's diff ids")
    .option("--force", "recompress layers that are in the format already")
    .option("--platform <os/arch>", "platform to convert (repeatable; default: this machine's)", collect)
    .option("--all-platforms", "convert every platform and keep the other entries of the index")
    .addOption(new Option("--media-types <family>", "media types of the result").choices(["oci", "docker"]))
    .addOption(
      new Option("--compressor <name>", "who deflates (default: zlib)").choices(["zlib", "libdeflate"]),
    )
    .option(
      "--jobs <n>",
      "pieces compressed at once; never changes the result (default: twice the cores)",
      parseWhole,
    )
    .action(async (source: string, destination: string, flags: Flags) =>
      run(new CommandContext(environment, flags), { source, destination }, flags),
    );
}

async function run(
  context: CommandContext,
  names: { source: string; destination: string },
  flags: Flags,
): Promise<void> {
  const { environment } = context;
  const [images, { convertImage }] = await Promise.all([
    import("../../image/index.ts"),
    import("../../convert/index.ts"),
  ]);
  const destinationName = images.parseImageName(names.destination);
  const platforms = platformsOf(flags);
  const prioritize = flags.prioritize === undefined ? undefined : readList(flags.prioritize);
  await using registry = await openRegistryClient(environment, flags);
  const access = { registry, signal: environment.signal };
  await using source = await images.openImageSource(images.parseImageName(names.source), access);
  await using destination = await images.openImageDestination(destinationName, access);
  const temporaryDirectory = await mkdtemp(join(environment.temporaryDirectory, "esgz-convert-"));
  const board = context.board();
  try {
    const report = await convertImage(source, destination, {
      ...pickOptions(flags),
      platforms,
      prioritize,
      jobs: flags.jobs ?? 2 * availableParallelism(),
      temporaryDirectory,
      signal: environment.signal,
      onProgress: (event) => showEvent(board, event),
      ...(flags.externalToc === true
        ? { openTocDestination: () => openTocDestination(destinationName, registry) }
        : {}),
    });
    board.finish();
    await context.print(report, describeReport(report, names.destination));
  } finally {
    board.finish();
    await rm(temporaryDirectory, { recursive: true, force: true });
  }
}

function pickOptions(flags: Flags): Omit<ConvertOptions, "jobs" | "temporaryDirectory"> {
  const {
    format,
    level,
    chunkSize,
    minChunkSize,
    externalToc,
    zstdDialect,
    keepDiffId,
    force,
    allPlatforms,
    mediaTypes,
    compressor,
  } = flags;
  return {
    format,
    level,
    chunkSize,
    minChunkSize,
    externalToc,
    zstdDialect,
    keepDiffId,
    force,
    allPlatforms,
    mediaTypes,
    compressor,
  };
}

function platformsOf(flags: Flags): readonly Platform[] {
  if (flags.platform !== undefined) return flags.platform.map(parsePlatform);
  return flags.allPlatforms === true ? [] : [hostPlatform()];
}

function readList(file: string): string[] {
  return readFlagFile("--prioritize", file)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
}

/** The image of external TOCs has the destination's name, with a suffix on the tag. */
async function openTocDestination(name: ImageName, registry: RegistryClient): Promise<ImageDestination> {
  const [{ openImageDestination }, { tocImageNameOf }] = await Promise.all([
    import("../../image/index.ts"),
    import("../../convert/index.ts"),
  ]);
  return openImageDestination(tocImageNameOf(name), { registry });
}

function showEvent(board: ProgressBoard, event: ConvertEvent): void {
  const { index, digest, platform } = event.layer;
  const key = `${platform ?? ""} ${index} ${digest}`;
  const label = `layer ${index} ${shortDigest(digest)}`;
  if (event.kind === "layer-started") board.set(key, { label, done: 0, total: event.size });
  else if (event.kind === "layer-progress") board.set(key, { label, done: event.bytesIn, total: event.size });
  else
    board.set(key, {
      label,
      done: event.report.oldSize,
      total: event.report.oldSize,
      note: event.report.action,
    });
}

function describeReport(report: ConvertReport, name: string): string {
  const lines: string[] = [];
  for (const image of report.images) {
    lines.push(
      `${image.platform ?? "image"}: ${image.action}${image.reason === "" ? "" : ` (${image.reason})`}\n`,
    );
    const rows = image.layers.map((layer) => [
      `  layer ${layer.index}`,
      layer.action,
      formatBytes(layer.oldSize),
      "->",
      formatBytes(layer.newSize),
      formatDuration(layer.durationMs),
      `${layer.transfer}: ${layer.reason}`,
    ]);
    if (rows.length > 0) lines.push(formatTable(rows, [2, 4, 5]));
  }
  for (const warning of report.warnings) lines.push(`warning: ${warning}\n`);
  if (report.tocImage !== undefined)
    lines.push(`TOC image: ${report.tocImage.name} ${report.tocImage.root.digest}\n`);
  lines.push(`${name} ${report.root.digest} in ${formatDuration(report.durationMs)}\n`);
  return lines.join("");
}
