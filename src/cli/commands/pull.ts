/**
 * `esgz pull`: an image to the store, a root filesystem or a local layout, in parallel, verified.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import type { Command } from "commander";
import { hostPlatform } from "../../daemon/index.ts";
import { EsgzError } from "../../errors/index.ts";
import { parsePlatform, shortDigest } from "../../oci/index.ts";
import type { PullEvent, PullReport } from "../../pull/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatCount, formatDuration } from "../format.ts";
import { imageRequest } from "../daemon-access.ts";
import { parseConnections } from "../parse-flags.ts";
import type { ProgressBoard } from "../progress-board.ts";
import { addRegistryFlags, openRegistryClient, type RegistryFlags } from "../registry-access.ts";
import { addStoreFlag } from "../store-location.ts";
import { pullToStore } from "./store-pull.ts";

interface Flags extends SharedFlags, RegistryFlags {
  readonly to?: string;
  readonly platform?: string;
  readonly connections?: number;
  readonly indexOnly?: boolean;
  readonly startOnly?: boolean;
}

const EXAMPLES = `
Examples:
  esgz pull python:3.13                             to the store; mount and run need no network then
  esgz pull --start-only python:3.13                what a node needs to start it at once
  esgz pull ghcr.io/org/app:1 --to rootfs:app       to a root filesystem
  esgz pull ghcr.io/org/app:1 --to oci:layout:1     to a local OCI layout`;

/** Adds the command. */
export function registerPull(program: Command, environment: Environment): void {
  addStoreFlag(addRegistryFlags(addSharedFlags(program.command("pull"))))
    .description("pull an image: index first, then chunks in parallel, each verified before it is written")
    .argument("<image>", "image to pull")
    .option("--to <target>", "rootfs:DIR, oci:DIR[:TAG] or docker-archive:FILE[:REF] (default: the store)")
    .option("--platform <os/arch>", "platform to pull (default: this machine's)")
    .option("--connections <n>", "with --to: requests in flight (default: 8)", parseConnections)
    .option("--index-only", "without --to: only the indexes; contents come when they are read")
    .option("--start-only", "without --to: also what a start reads first; the rest comes when it is read")
    .addHelpText("after", EXAMPLES)
    .action(async (image: string, flags: Flags, command: Command) => {
      assertFlagsBelong(flags);
      const context = new CommandContext(environment, flags);
      if (flags.to !== undefined) return await pullTo(context, image, { ...flags, to: flags.to });
      const request = imageRequest(environment, image, flags);
      const { indexOnly = false, startOnly = false } = flags;
      await pullToStore(context, command, { ...request, lazy: indexOnly || startOnly, prefetch: startOnly });
    });
}

function assertFlagsBelong({ to, connections, indexOnly, startOnly }: Flags): void {
  if (to === undefined && connections !== undefined)
    throw new EsgzError("USAGE_INVALID", "Cannot use --connections: expected --to with it, got none");
  if (indexOnly === true && startOnly === true)
    throw new EsgzError(
      "USAGE_INVALID",
      "Cannot use --index-only: expected no --start-only with it, got one",
    );
  if (to === undefined) return;
  for (const [flag, isSet] of Object.entries({ "--index-only": indexOnly, "--start-only": startOnly })) {
    if (isSet === true)
      throw new EsgzError("USAGE_INVALID", `Cannot use ${flag}: expected no --to with it, got one`);
  }
}

async function pullTo(
  context: CommandContext,
  name: string,
  flags: Flags & { readonly to: string },
): Promise<void> {
  const { environment } = context;
  const [images, { parsePullTarget, pullImage }] = await Promise.all([
    import("../../image/index.ts"),
    import("../../pull/index.ts"),
  ]);
  const target = parsePullTarget(flags.to);
  const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
  await using registry = await openRegistryClient(environment, flags);
  await using source = await images.openImageSource(name, { registry, signal: environment.signal });
  const board = context.board();
  try {
    const report = await pullImage(source, target, {
      platform,
      tuning: {
        workers: Math.min(8, Math.max(2, availableParallelism())),
        ...(flags.connections === undefined ? {} : { connections: flags.connections }),
      },
      onProgress: (event) => showEvent(board, event),
      // There if bin/esgz.js could start node with it.
      collectGarbage: () => globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" }),
      signal: environment.signal,
    });
    board.finish();
    await context.print(report, describeReport(report));
  } finally {
    board.finish();
  }
}

function showEvent(board: ProgressBoard, event: PullEvent): void {
  switch (event.kind) {
    case "resolved":
      return;
    case "index-loaded": {
      const whole = event.layers.filter(({ way }) => way === "whole");
      const seekable = event.layers.length - whole.length;
      const size = event.layers.reduce((sum, layer) => sum + layer.size, 0);
      const layers = `${formatCount(event.layers.length, "layer")}, ${seekable} seekable, ${formatBytes(size)}`;
      board.say(`index loaded in ${event.seconds.toFixed(2)}s (${layers})`);
      for (const { index, reason } of whole)
        board.say(`layer ${index} travels whole: ${reason ?? "it is ordinary"}`);
      return;
    }
    case "progress":
      board.setAll(
        event.layers
          .filter(({ totalBytes }) => totalBytes > 0)
          .map(({ index, digest, fetchedBytes, totalBytes }) => [
            String(index),
            {
              label: `layer ${index} ${shortDigest(digest)}`,
              done: Math.min(fetchedBytes, totalBytes),
              total: totalBytes,
            },
          ]),
      );
      return;
    case "finishing":
      return;
  }
}

function describeReport({ seconds, bytes, ...report }: PullReport): string {
  const skipped = bytes.skipped > 0 ? `, ${formatBytes(bytes.skipped)} not needed` : "";
  const reused = bytes.reused > 0 ? `, ${formatBytes(bytes.reused)} kept from an earlier pull` : "";
  const lines = [
    `${report.digest}`,
    `pulled to ${report.target} in ${formatDuration(seconds.total * 1000)} (index ${formatDuration(seconds.index * 1000)})`,
    `${formatBytes(bytes.fetched)} in ${formatCount(report.requests, "request")}${skipped}${reused}`,
    ...report.omissions.map(
      ({ what, count, example, reason }) =>
        `not restored: ${what} of ${formatCount(count, "file")}, such as /${example}: ${reason}`,
    ),
  ];
  return `${lines.join("\n")}\n`;
}
