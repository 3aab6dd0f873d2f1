/**
 * `esgz verify`: proves everything that an image's layers claim.
 *
 * @module
 */
import type { Command } from "commander";
import { mapConcurrent } from "../../async/index.ts";
import { EsgzError } from "../../errors/index.ts";
import type { Layer, LayerReport } from "../../image/index.ts";
import { shortDigest } from "../../oci/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { formatCount, printable } from "../format.ts";
import { type ImageFlags, openCommandImage } from "../open-command-image.ts";
import { addRegistryFlags } from "../registry-access.ts";

type Flags = SharedFlags & ImageFlags;

const CONCURRENT_LAYERS = 2;
const LISTED_FINDINGS = 20;

/** Adds the command. */
export function registerVerify(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("verify")))
    .description("prove TOC digests, every chunk, TOC = tar, diff ids and blob digests, and say which failed")
    .argument("<image>", "image to verify")
    .option("--platform <os/arch>", "platform to verify (default: this machine's)")
    .action(async (image: string, flags: Flags) => run(new CommandContext(environment, flags), image, flags));
}

async function run(context: CommandContext, name: string, flags: Flags): Promise<void> {
  const { signal } = context.environment;
  const { verifyLayer } = await import("../../image/index.ts");
  await using opened = await openCommandImage(context, name, flags);
  const { image } = opened;
  const reports = await mapConcurrent(
    image.layers,
    async (layer: Layer, work) => {
      const report = await verifyLayer(layer, { signal: work.signal });
      context.note(
        `layer ${layer.index} ${shortDigest(layer.descriptor.digest)}: ${report.passed ? "ok" : "FAILED"}`,
      );
      return report;
    },
    { concurrency: CONCURRENT_LAYERS, signal },
  );
  const passed = reports.every((report) => report.passed);
  const result = { image: name, digest: image.descriptor.digest, passed, layers: reports };
  await context.print(result, reports.map(describeLayer).join(""));
  if (passed) return;
  const failed = reports.flatMap((report, index) => (report.passed ? [] : [index]));
  throw new EsgzError(
    "VERIFICATION_FAILED",
    `Cannot vouch for "${name}": expected all layers to verify, got failures in ${failed.map((index) => `layer ${index}`).join(", ")}`,
  );
}

function describeLayer(report: LayerReport, index: number): string {
  const lines = [`layer ${index} ${report.digest} (${report.format})`];
  for (const { name, status, reason } of report.checks) {
    lines.push(`  ${status.padEnd(7)} ${name}${reason === undefined ? "" : `: ${reason}`}`);
  }
  for (const { check, where, message } of report.findings.slice(0, LISTED_FINDINGS)) {
    lines.push(`  ! ${check} ${printable(where)}: ${printable(message)}`);
  }
  const unlisted = report.findingCount - Math.min(report.findings.length, LISTED_FINDINGS);
  if (unlisted > 0) lines.push(`  ! and ${unlisted} more`);
  lines.push(
    `  ${formatCount(report.entryCount, "entry", "entries")} read, ${formatCount(report.chunkCount, "chunk")} hashed`,
  );
  return `${lines.join("\n")}\n`;
}
