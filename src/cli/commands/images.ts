/**
 * `esgz images` and `esgz rm`: what a store has under which names.
 *
 * @module
 */
import type { Command } from "commander";
import type { ImageSummary } from "../../daemon/index.ts";
import { EsgzError } from "../../errors/index.ts";
import { formatPlatform, parsePlatform, shortDigest } from "../../oci/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { absoluteName, openDaemonOfStore } from "../daemon-access.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatPercent, formatTable, formatTime, printable } from "../format.ts";
import { addStoreFlag } from "../store-location.ts";

interface RemoveFlags extends SharedFlags {
  readonly platform?: string;
}

const EXAMPLES = `
Examples:
  esgz rm python:3.13
  esgz rm --platform linux/arm64 ghcr.io/org/app:1`;

/** Adds `images`. */
export function registerImages(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("images")))
    .description("list the images of the store, and how much of each is here")
    .action(async (flags: SharedFlags, command: Command) =>
      list(new CommandContext(environment, flags), command),
    );
}

/** Adds `rm`. */
export function registerRm(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("rm")))
    .description("forget images; their layers go with the next `esgz prune`, or when room is needed")
    .argument("<image...>", "names as `esgz images` lists them")
    .option("--platform <os/arch>", "only for this platform (default: all)")
    .addHelpText("after", EXAMPLES)
    .action(async (names: readonly string[], flags: RemoveFlags, command: Command) =>
      remove(new CommandContext(environment, flags), { names, flags, command }),
    );
}

async function list(context: CommandContext, command: Command): Promise<void> {
  const { signal } = context.environment;
  await using daemon = await openDaemonOfStore(context.environment, command);
  const images = (await daemon?.images({ signal })) ?? [];
  await context.print(images, images.length === 0 ? "" : formatTable([HEAD, ...images.map(rowOf)], [3, 4]));
}

const HEAD = ["NAME", "PLATFORM", "DIGEST", "LAYERS", "SIZE", "HERE", "UPDATED", ""] as const;

function rowOf(image: ImageSummary): readonly string[] {
  return [
    printable(image.name),
    image.platform,
    shortDigest(image.manifest),
    String(image.layers),
    formatBytes(image.totalBytes),
    formatPercent(image.presentBytes, image.totalBytes),
    formatTime(image.updatedMs / 1000),
    image.mounted ? "mounted" : "",
  ];
}

async function remove(
  context: CommandContext,
  { names, flags, command }: { names: readonly string[]; flags: RemoveFlags; command: Command },
): Promise<void> {
  const { signal } = context.environment;
  const platform =
    flags.platform === undefined ? {} : { platform: formatPlatform(parsePlatform(flags.platform)) };
  await using daemon = await openDaemonOfStore(context.environment, command);
  for (const name of names) {
    if (daemon === undefined)
      throw new EsgzError("IMAGE_NOT_FOUND", `Cannot remove image "${name}": the store has none`);
    await daemon.removeImage(absoluteName(name), { ...platform, signal });
  }
  await context.print(names, names.map((name) => `removed ${printable(name)}\n`).join(""));
}
