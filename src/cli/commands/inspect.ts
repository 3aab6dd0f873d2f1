/**
 * `esgz inspect`: what an image is made of, and what of it can be read in parts.
 *
 * @module
 */
import type { Command } from "commander";
import type { Image, Layer, LayerArchive } from "../../image/index.ts";
import { formatPlatform, shortDigest } from "../../oci/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatCount, formatTable } from "../format.ts";
import { type ImageFlags, openCommandImage } from "../open-command-image.ts";
import { addRegistryFlags } from "../registry-access.ts";

type Flags = SharedFlags & ImageFlags;

/** Adds the command. */
export function registerInspect(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("inspect")))
    .description(
      "show an image's layers: format, sizes, TOC digests, what is prefetched; reads only their indexes",
    )
    .argument("<image>", "image to look at")
    .option("--platform <os/arch>", "platform to look at (default: this machine's)")
    .action(async (image: string, flags: Flags) => run(new CommandContext(environment, flags), image, flags));
}

async function run(context: CommandContext, name: string, flags: Flags): Promise<void> {
  const { signal } = context.environment;
  const { openLayerArchive } = await import("../../image/index.ts");
  await using opened = await openCommandImage(context, name, flags);
  const { image } = opened;
  const archives = await Promise.all(
    image.layers.map((layer) => openLayerArchive(layer, { signal, verification: "computed" })),
  );
  const layers = image.layers.map((layer, at) => factsOf(layer, archives[at]));
  await context.print({ ...imageFacts(name, image), layers }, describe(name, { image, layers }));
}

/** What is said of a layer. */
interface LayerFacts {
  readonly index: number;
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  readonly diffId: string | undefined;
  readonly format: string;
  readonly lazy: boolean;
  /** Why a layer is not lazy. */
  readonly reason?: string;
  readonly tocDigest?: string;
  /** Whether the manifest proves the TOC. */
  readonly verified?: boolean;
  readonly entries?: number;
  readonly prefetchSize?: number;
}

function factsOf(layer: Layer, found: LayerArchive | undefined): LayerFacts {
  const { digest, size, mediaType } = layer.descriptor;
  const facts = { index: layer.index, digest, size, mediaType, diffId: layer.diffId };
  if (found?.kind !== "seekable")
    return { ...facts, format: layer.compression, lazy: false, reason: found?.reason ?? "" };
  const { archive, verified } = found;
  return {
    ...facts,
    format: archive.format,
    lazy: verified,
    ...(verified ? {} : { reason: "its manifest does not prove its table of contents" }),
    tocDigest: archive.tocDigest,
    verified,
    entries: archive.entries.length,
    prefetchSize: archive.prefetchSize,
  };
}

function imageFacts(
  name: string,
  { descriptor, platform, config }: Image,
): Readonly<Record<string, unknown>> {
  return {
    name,
    digest: descriptor.digest,
    mediaType: descriptor.mediaType,
    platform,
    config: config.config ?? {},
  };
}

function describe(name: string, { image, layers }: { image: Image; layers: readonly LayerFacts[] }): string {
  const { descriptor, platform, config } = image;
  const size = layers.reduce((sum, layer) => sum + layer.size, 0);
  const head = [
    `${name}`,
    `  digest    ${descriptor.digest}`,
    `  platform  ${platform === undefined ? "unknown" : formatPlatform(platform)}`,
    `  command   ${JSON.stringify([...(config.config?.Entrypoint ?? []), ...(config.config?.Cmd ?? [])])}`,
    `  size      ${formatBytes(size)} in ${formatCount(layers.length, "layer")}`,
    "",
  ];
  const rows = layers.map((layer) => [
    `  ${layer.index}`,
    shortDigest(layer.digest as Image["descriptor"]["digest"]),
    formatBytes(layer.size),
    layer.format,
    layer.lazy ? "lazy" : "whole",
    layer.lazy ? lazyDetail(layer) : (layer.reason ?? ""),
  ]);
  return `${head.join("\n")}${formatTable(rows, [0, 2])}`;
}

function lazyDetail({ entries = 0, prefetchSize = 0 }: LayerFacts): string {
  const prefetch = prefetchSize > 0 ? `, ${formatBytes(prefetchSize)} prefetched` : "";
  return `${formatCount(entries, "entry", "entries")}${prefetch}`;
}
