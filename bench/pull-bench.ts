/**
 * `npm run bench -- pull`: from a registry to a root filesystem, against the tools that people use for it.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startContainerd } from "./containerd.ts";
import { findCommand } from "./find-command.ts";
import type { BenchContext } from "./bench-context.ts";
import { esgzCommand } from "./esgz-command.ts";
import type { Harbor } from "./harbor/index.ts";
import { ensureBenchImage } from "./inputs/bench-images.ts";
import type { BenchInputName } from "./inputs/bench-inputs.ts";
import type { LinkProfile } from "./link/index.ts";
import {
  compare,
  type Comparison,
  type Contender,
  measureCommand,
  type Measurement,
} from "./measure/index.ts";

interface Place {
  readonly harbor: Harbor;
  /** Host and port of the link. */
  readonly host: string;
  readonly repository: string;
}

/** Measures one input over one link. */
export async function benchPull(
  context: BenchContext,
  options: { readonly input: BenchInputName; readonly profile: LinkProfile; readonly harbor: Harbor },
): Promise<Comparison> {
  const { harbor, input, profile } = options;
  const repository = await ensureBenchImage(input, { cache: context.cache, harbor });
  const host = await harbor.openLink(profile);
  const place = { harbor, host, repository };
  const contenders: Contender[] = [
    esgzContender("esgz pull, eStargz", place, "esgz"),
    esgzContender("esgz pull, gzip", place, "gzip"),
    wireContender(place),
  ];
  if (
    findCommand("containerd") !== undefined &&
    findCommand("ctr") !== undefined &&
    process.geteuid?.() === 0
  ) {
    contenders.push(containerdContender(place));
  } else context.say("skipped: ctr images pull (needs containerd, ctr and root)");
  if (findCommand("skopeo") !== undefined && findCommand("umoci") !== undefined)
    contenders.push(umociContender(place));
  else context.say("skipped: skopeo copy + umoci unpack (not installed)");
  const title = `pull ${input}, ${profile.name} (${profile.rttMs} ms)`;
  try {
    const standings = await compare(contenders, {
      rounds: context.rounds,
      onRun: (name, { wallSeconds }) => context.say(`${title}: ${name} ${wallSeconds.toFixed(2)} s`),
    });
    return { title, standings };
  } finally {
    removeScratches();
  }
}

function esgzContender(name: string, { harbor, host, repository }: Place, tag: string): Contender {
  return {
    name,
    run: () =>
      withScratch(async (scratch) => {
        await harbor.takeStatistics();
        const argv = esgzCommand(
          "pull",
          `${host}/${repository}:${tag}`,
          "--to",
          `rootfs:${join(scratch, "root")}`,
          "-q",
        );
        return withFacts(harbor, await measureCommand(argv));
      }),
  };
}

/** The floor: the bytes of all layers of the eStargz image over four connections, kept nowhere. */
function wireContender({ harbor, host, repository }: Place): Contender {
  return {
    name: "wire (bytes only)",
    run: async () => {
      await harbor.takeStatistics();
      const program = new URL("wire-process.ts", import.meta.url).pathname;
      return withFacts(harbor, await measureCommand([process.execPath, program, host, repository, "esgz"]));
    },
  };
}

function containerdContender({ harbor, host, repository }: Place): Contender {
  return {
    name: "ctr images pull, gzip",
    run: () =>
      withScratch(async (scratch) => {
        await using daemon = await startContainerd(scratch);
        await harbor.takeStatistics();
        const ctr = [
          "ctr",
          "-a",
          daemon.socket,
          "images",
          "pull",
          "--plain-http",
          `${host}/${repository}:gzip`,
        ];
        return withFacts(harbor, await measureCommand(ctr));
      }),
  };
}

function umociContender({ harbor, host, repository }: Place): Contender {
  return {
    name: "skopeo copy + umoci unpack, gzip",
    run: () =>
      withScratch(async (scratch) => {
        await harbor.takeStatistics();
        const layout = join(scratch, "layout");
        const script =
          'skopeo copy -q --src-tls-verify=false "docker://$1" "oci:$2:x" && umoci unpack --image "$2:x" "$3"';
        const argv = [
          "sh",
          "-ec",
          script,
          "sh",
          `${host}/${repository}:gzip`,
          layout,
          join(scratch, "bundle"),
        ];
        return withFacts(harbor, await measureCommand(argv));
      }),
  };
}

async function withFacts(
  harbor: Harbor,
  measurement: Measurement,
): Promise<Measurement & { readonly facts: Readonly<Record<string, number>> }> {
  const { bytesDown, requests } = await harbor.takeStatistics();
  return { ...measurement, facts: { MB: Math.round(bytesDown / 1e6), requests } };
}

const TMPFS_MAGIC = 0x01021994;

/**
 * A directory for one run, below TMPDIR. On a disk, what earlier runs wrote goes there first, and stays until all runs are
 * done: ext4 is slow at making files for minutes after many were removed. On tmpfs it goes at once.
 */
async function withScratch<T>(work: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = mkdtempSync(join(tmpdir(), "esgz-bench-"));
  scratches.push(scratch);
  const inMemory = statfsSync(scratch).type === TMPFS_MAGIC;
  if (!inMemory) execFileSync("sync");
  try {
    return await work(scratch);
  } finally {
    if (inMemory) removeScratches();
  }
}

const scratches: string[] = [];

function removeScratches(): void {
  for (const scratch of scratches.splice(0)) rmSync(scratch, { recursive: true, force: true });
}
