/**
 * `npm run demo`: the main job, end to end. A real image is made from files of this machine, kept in the embedded
 * registry behind a link of stated latency and bandwidth, converted, and started in three ways.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
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
import { type DemoDaemon, startDemoDaemon } from "./run-lazily.ts";

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
  // On a node it runs already, and is at rest.
  await using daemon = startDemoDaemon(scratch);

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

  say(`starting it over a link of ${describeLink(LINK)}, in three ways ...`);
  const rows: Row[] = [];
  const measure = async (what: string, start: () => Promise<number>): Promise<void> => {
    await harbor.takeStatistics();
    const seconds = await start();
    rows.push({ what, seconds, statistics: await harbor.takeStatistics() });
  };
  const timed = async (pull: () => Promise<void>, root: string): Promise<number> => {
    const started = performance.now();
    await pull();
    say(`  ${runInRoot(root).trim()}`);
    return secondsSince(started);
  };
  const ordinary = join(scratch, "ordinary");
  const image = { registry: link, repository: REPOSITORY, tag: "gzip" };
  await measure("gzip, one layer after another, then run", () =>
    timed(() => pullOrdinary(image, { directory: ordinary, signal }), ordinary),
  );
  const root = join(scratch, "root");
  await measure("eStargz in parallel, verified, then run", () =>
    timed(() => pullParallel(`${link}/${REPOSITORY}:esgz`, { registry, root }), root),
  );
  execFileSync("diff", ["-r", "--no-dereference", ordinary, root], { stdio: "inherit" });
  say("  both roots hold the same files");
  const failure = await startLazily(`${link}/${REPOSITORY}:esgz`, { daemon, measure });
  print(rows);
  if (failure !== undefined) say(`\nskipped: the lazy start (${failure})`);
}

/** Started before it is here; says why not where this machine cannot mount. */
async function startLazily(
  image: string,
  options: {
    readonly daemon: DemoDaemon;
    readonly measure: (what: string, start: () => Promise<number>) => Promise<void>;
  },
): Promise<string | undefined> {
  const { daemon, measure } = options;
  try {
    await measure("eStargz, lazily: run at once", async () => {
      const { seconds, output } = await daemon.run(image);
      say(`  ${output.trim()}`);
      return seconds;
    });
    return undefined;
  } catch (error) {
    // As root, everything that it takes is there: then this is a failure of the demo.
    if (process.geteuid?.() === 0 && existsSync("/dev/fuse")) throw error;
    return error instanceof Error ? error.message : String(error);
  }
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
  const table = [["", "seconds to first output", "travelled", "requests"], ...cells];
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
