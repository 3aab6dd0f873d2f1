/**
 * `npm run demo`: the main job, end to end. A real image is made from files of this machine, kept in the embedded
 * registry behind a link of stated latency and bandwidth, converted, pulled in two ways, and run.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type HarborStatistics, startHarbor } from "../bench/harbor/index.ts";
import { describeLink, type LinkProfile } from "../bench/link/index.ts";
import { convertImage } from "../src/convert/index.ts";
import { openImageDestination, openImageSource } from "../src/image/index.ts";
import { pullImage } from "../src/pull/index.ts";
import { RegistryClient } from "../src/registry/index.ts";
import { makeMachineImage } from "./machine-image.ts";
import { pullOrdinary } from "./pull-ordinary.ts";
import { runInRoot } from "./run-in-root.ts";

const LINK: LinkProfile = {
  name: "demo",
  rttMs: 20,
  bitsPerSecond: 1e9,
  bitsPerSecondPerConnection: 3e8,
};
const REPOSITORY = "demo/node";
const PLATFORM = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };

interface Row {
  readonly what: string;
  readonly seconds: number;
  readonly statistics: HarborStatistics;
}

const scratch = mkdtempSync(join(tmpdir(), "esgz-demo-"));
const interruption = new AbortController();
const { signal } = interruption;
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => interruption.abort());
try {
  await demo();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function demo(): Promise<void> {
  await using registry = new RegistryClient();
  await using harbor = await startHarbor(join(scratch, "registry"));
  const link = await harbor.openLink(LINK);

  say("making an image from files of this machine ...");
  const layout = join(scratch, "image");
  const checkout = resolve(import.meta.dirname, "..");
  const size = await makeMachineImage(layout, { registry, checkout });
  say(
    `  ${megabytes(size)} in 3 layers: system libraries, Node ${process.version}, an application with its packages`,
  );

  for (const [tag, format] of [
    ["gzip", "gzip"],
    ["esgz", "estargz"],
  ] as const) {
    const started = performance.now();
    await convert(`oci:${layout}:latest`, `${harbor.direct}/${REPOSITORY}:${tag}`, { registry, format });
    say(`  pushed as ${tag}: ${secondsSince(started).toFixed(1)} s`);
  }

  say(`pulling it over a link of ${describeLink(LINK)} ...`);
  const rows: Row[] = [];
  const measure = async (what: string, pull: () => Promise<void>): Promise<void> => {
    await harbor.takeStatistics();
    const started = performance.now();
    await pull();
    rows.push({ what, seconds: secondsSince(started), statistics: await harbor.takeStatistics() });
  };
  await measure("gzip, one layer after another", () =>
    pullOrdinary(
      { registry: link, repository: REPOSITORY, tag: "gzip" },
      { directory: join(scratch, "ordinary"), signal },
    ),
  );
  const root = join(scratch, "root");
  await measure("eStargz, in parallel, verified", () =>
    pullParallel(`${link}/${REPOSITORY}:esgz`, { registry, root }),
  );
  execFileSync("diff", ["-r", "--no-dereference", join(scratch, "ordinary"), root], { stdio: "inherit" });
  say("  both roots hold the same files");

  say("running the image's command in the pulled root ...");
  say(`  ${runInRoot(root).trim()}`);
  print(rows);
}

async function convert(
  from: string,
  to: string,
  { registry, format }: { registry: RegistryClient; format: "gzip" | "estargz" },
): Promise<void> {
  await using source = await openImageSource(from, { registry });
  await using destination = await openImageDestination(to, { registry });
  const jobs = 2 * availableParallelism();
  await convertImage(source, destination, { format, jobs, temporaryDirectory: scratch, signal });
}

async function pullParallel(
  name: string,
  { registry, root }: { registry: RegistryClient; root: string },
): Promise<void> {
  await using source = await openImageSource(name, { registry });
  await pullImage(source, { kind: "rootfs", directory: root }, { platform: PLATFORM, signal });
}

function print(rows: readonly Row[]): void {
  const cells = rows.map(({ what, seconds, statistics }) => [
    what,
    seconds.toFixed(2),
    megabytes(statistics.bytesDown),
    String(statistics.requests),
  ]);
  const table = [["", "seconds", "travelled", "requests"], ...cells];
  const widths = [0, 1, 2, 3].map((at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  say("");
  for (const row of table) {
    say(
      row
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
        .join("   "),
    );
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1000;
}

function say(text: string): void {
  console.log(text);
}
