/**
 * `esgz doctor`: what this machine has of what esgz can use, and what of an image can be lazy.
 *
 * @module
 */
import type { Command } from "commander";
import { shortDigest } from "../../oci/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { examineMachine, type Finding } from "../doctor-report.ts";
import { examineDaemon, examineRootless, examineViews } from "../doctor-views.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatCount, formatTable, printable } from "../format.ts";
import { type ImageFlags, openCommandImage } from "../open-command-image.ts";
import { addRegistryFlags } from "../registry-access.ts";
import { addStoreFlag, storeOf } from "../store-location.ts";

type Flags = SharedFlags & ImageFlags;

const MARKS = { yes: "ok", limited: "limited", no: "missing", off: "-" } as const;

const EXAMPLES = `
Examples:
  esgz doctor                        which way images are shown here, and what is missing for a better one
  esgz doctor ghcr.io/org/app:1      layer by layer: lazy or not, and why`;

/** Adds the command. */
export function registerDoctor(program: Command, environment: Environment): void {
  addStoreFlag(addRegistryFlags(addSharedFlags(program.command("doctor"))))
    .description(
      "say what this machine has and which way it shows images; for an image, which layers are lazy",
    )
    .argument("[image]", "image to look at, too")
    .option("--platform <os/arch>", "platform to look at (default: this machine's)")
    .addHelpText("after", EXAMPLES)
    .action(async (image: string | undefined, flags: Flags, command: Command) =>
      run(new CommandContext(environment, flags), {
        image,
        flags,
        store: await storeOf(environment, command),
      }),
    );
}

async function run(
  context: CommandContext,
  { image, flags, store }: { image: string | undefined; flags: Flags; store: string },
): Promise<void> {
  const machine = await examine(context.environment, store);
  const rows = machine.map(({ name, state, detail }) => [name, MARKS[state], printable(detail)]);
  const layers = image === undefined ? undefined : await examineImage(context, image, flags);
  const table = layers === undefined ? "" : `\n${printable(image ?? "")}\n${describeLayers(layers)}`;
  await context.print(
    { machine, ...(layers === undefined ? {} : { image, layers }) },
    `${formatTable(rows)}${table}`,
  );
}

async function examine(environment: Environment, store: string): Promise<readonly Finding[]> {
  const { probeLibdeflate } = await import("../../estargz/index.ts");
  const machine = examineMachine({
    variables: environment.variables,
    libdeflate: probeLibdeflate(),
    isRoot: environment.uid === 0,
    nodeVersion: process.versions.node,
  });
  return [
    ...machine,
    await examineRootless(environment),
    ...(await examineViews(environment)),
    ...(await examineDaemon(environment, store)),
  ];
}

/** Whether a layer can be lazy. */
interface LayerFinding {
  readonly index: number;
  readonly digest: string;
  readonly size: number;
  readonly lazy: boolean;
  /** Why it is not lazy; for a lazy one, what is known of it. */
  readonly reason: string;
}

async function examineImage(
  context: CommandContext,
  name: string,
  flags: Flags,
): Promise<readonly LayerFinding[]> {
  const { signal } = context.environment;
  const { openLayerArchive } = await import("../../image/index.ts");
  await using opened = await openCommandImage(context, name, flags);
  const isRemote = opened.source.kind === "registry";
  return await Promise.all(
    opened.image.layers.map(async (layer) => {
      const { digest, size } = layer.descriptor;
      const found = await openLayerArchive(layer, { signal });
      const seekable = found.kind === "seekable";
      const reason = !seekable
        ? found.reason
        : isRemote
          ? `${found.archive.format}, ${formatCount(found.archive.entries.length, "entry", "entries")}`
          : "it lies on this machine, and only a registry's layers are lazy";
      return { index: layer.index, digest, size, lazy: seekable && isRemote, reason };
    }),
  );
}

function describeLayers(layers: readonly LayerFinding[]): string {
  const rows = layers.map(({ index, digest, size, lazy, reason }) => [
    `  layer ${index}`,
    shortDigest(digest as Parameters<typeof shortDigest>[0]),
    formatBytes(size),
    lazy ? "lazy" : "whole",
    printable(reason),
  ]);
  const lazy = layers.filter((layer) => layer.lazy).length;
  return `${formatTable(rows, [2])}  ${lazy} of ${formatCount(layers.length, "layer")} lazy\n`;
}
