/**
 * `esgz df` and `esgz prune`: what a store takes on the disk, and taking away what nothing needs.
 *
 * @module
 */
import type { Command } from "commander";
import type { PruneSummary, UsageSummary } from "../../daemon/index.ts";
import { shortDigest } from "../../oci/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { openDaemonOfStore } from "../daemon-access.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatCount, formatPercent, formatTable, formatTime, printable } from "../format.ts";
import { addStoreFlag, storeOf } from "../store-location.ts";

interface PruneFlags extends SharedFlags {
  readonly all?: boolean;
}

/** Adds `df`. */
export function registerDf(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("df")))
    .description("show what the store takes on the disk, layer by layer")
    .action(async (flags: SharedFlags, command: Command) =>
      show(new CommandContext(environment, flags), command),
    );
}

/** Adds `prune`. */
export function registerPrune(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("prune")))
    .description("take away layers that no image names, and writable layers that nothing mounts")
    .option("-a, --all", "also images that nothing mounts")
    .action(async (flags: PruneFlags, command: Command) =>
      prune(new CommandContext(environment, flags), { all: flags.all === true, command }),
    );
}

async function show(context: CommandContext, command: Command): Promise<void> {
  const { environment } = context;
  const root = await storeOf(environment, command);
  await using daemon = await openDaemonOfStore(environment, command);
  const nothing: UsageSummary = { root, layers: [], contentBytes: 0, writableBytes: 0 };
  const usage = (await daemon?.usage({ signal: environment.signal })) ?? nothing;
  await context.print(usage, describeUsage(usage));
}

const HEAD = ["LAYER", "DISK", "SIZE", "HERE", "LAST USED", "", "IMAGES"] as const;

function describeUsage({ root, quotaBytes, layers, contentBytes, writableBytes }: UsageSummary): string {
  const layerBytes = layers.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
  const all = layerBytes + contentBytes + writableBytes;
  const quota = quotaBytes === undefined ? "" : ` of at most ${formatBytes(quotaBytes)}`;
  const parts = [
    `${formatBytes(layerBytes)} in ${formatCount(layers.length, "layer")}`,
    `${formatBytes(contentBytes)} of manifests and indexes`,
    `${formatBytes(writableBytes)} in writable layers`,
  ];
  const rows = layers.map((layer) => [
    shortDigest(layer.digest),
    formatBytes(layer.diskBytes),
    formatBytes(layer.totalBytes),
    formatPercent(Math.min(layer.diskBytes, layer.totalBytes), layer.totalBytes),
    formatTime(layer.usedMs / 1000),
    layer.pinned ? "in use" : "",
    layer.images.map(printable).join(", "),
  ]);
  const table = rows.length === 0 ? "" : formatTable([HEAD, ...rows], [1, 2, 3]);
  return `${table}${root}: ${formatBytes(all)}${quota} (${parts.join(", ")})\n`;
}

async function prune(
  context: CommandContext,
  { all, command }: { readonly all: boolean; readonly command: Command },
): Promise<void> {
  const { environment } = context;
  await using daemon = await openDaemonOfStore(environment, command);
  const nothing: PruneSummary = { images: [], layers: [], bytes: 0 };
  const summary = (await daemon?.prune({ all }, { signal: environment.signal })) ?? nothing;
  const lines = [
    ...summary.images.map((name) => `image ${printable(name)}`),
    ...summary.layers.map((digest) => `layer ${shortDigest(digest)}`),
  ].map((what) => `removed ${what}\n`);
  await context.print(summary, `${lines.join("")}freed ${formatBytes(summary.bytes)}\n`);
}
