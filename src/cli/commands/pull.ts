/**
 * `esgz pull`: an image to a root filesystem or a local layout, in parallel, verified.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import type { Command } from "commander";
import { parsePlatform, shortDigest } from "../../oci/index.ts";
import type { PullEvent, PullReport } from "../../pull/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { formatBytes, formatCount, formatDuration } from "../format.ts";
import { hostPlatform } from "../host-platform.ts";
import { parseConnections } from "../parse-flags.ts";
import type { ProgressBoard } from "../progress-board.ts";
import { addRegistryFlags, openRegistryClient, type RegistryFlags } from "../registry-access.ts";

interface Flags extends SharedFlags, RegistryFlags {
  readonly to: string;
  readonly platform?: string;
  readonly connections?: number;
}

/** Adds the command. */
export function registerPull(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("pull")))
    .description("pull an image: index first, then chunks in parallel, each verified before it is written")
    .argument("<image>", "image to pull")
    .requiredOption("--to <target>", "rootfs:DIR, oci:DIR[:TAG] or docker-archive:FILE[:REF]")
    .option("--platform <os/arch>", "platform to pull (default: this machine's)")
    .option("--connections <n>", "requests in flight (default: 8)", parseConnections)
    .action(async (image: string, flags: Flags) => run(new CommandContext(environment, flags), image, flags));
}

async function run(context: CommandContext, name: string, flags: Flags): Promise<void> {
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
      for (const { index, digest, fetchedBytes, totalBytes } of event.layers) {
        if (totalBytes === 0) continue;
        board.set(String(index), {
          label: `layer ${index} ${shortDigest(digest)}`,
          done: Math.min(fetchedBytes, totalBytes),
          total: totalBytes,
        });
      }
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
