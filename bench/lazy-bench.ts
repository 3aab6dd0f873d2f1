/**
 * `npm run bench -- lazy` and `-- snapshotter`: from nothing to an image's first sign of life, against the tools that people use for it.
 *
 * Every run begins with an empty store and cold page caches; daemons run already, as they do on a node.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BenchContainerd, endProcess, startContainerd, untilExists } from "./containerd.ts";
import { esgzCommand, runEsgz } from "./esgz-command.ts";
import { findCommand } from "./find-command.ts";
import type { Harbor } from "./harbor/index.ts";
import { ensureHelloImage, helloRecipe } from "./inputs/hello-images.ts";
import type { HelloRecipe } from "./inputs/hello-recipes.ts";
import type { LinkProfile } from "./link/index.ts";
import type { BenchContext } from "./main.ts";
import { compare, type Comparison, type Contender, measureUntil } from "./measure/index.ts";

interface Place {
  readonly harbor: Harbor;
  /** Host, port and repository, behind the link. */
  readonly name: string;
  readonly recipe: HelloRecipe;
}

/** Where an image is started, and by whom. */
export interface LazyBenchOptions {
  readonly image: string;
  readonly profile: LinkProfile;
  readonly harbor: Harbor;
}

/** Measures one image over one link, started by `esgz run`. */
export async function benchLazy(context: BenchContext, options: LazyBenchOptions): Promise<Comparison> {
  return await benchStart(context, options, (place) => [
    esgzContender("esgz run, lazy", place, { tag: "esgz" }),
    esgzContender("esgz run, lazy, optimized", place, { tag: "opt" }),
    esgzContender("esgz pull, then run", place, { tag: "esgz", prepare: "measured" }),
    esgzContender("esgz run, warm", place, { tag: "esgz", prepare: "before" }),
    ...peers(context, place),
  ]);
}

/** Measures one image over one link, started by containerd with esgz as its snapshotter. */
export async function benchSnapshotter(
  context: BenchContext,
  options: LazyBenchOptions,
): Promise<Comparison> {
  if (findCommand("ctr-remote") === undefined) throw new Error("Cannot measure: ctr-remote is not installed");
  const snapshotter = ESGZ_SNAPSHOTTER;
  return await benchStart(context, options, (place) => [
    snapshotterContender("esgz snapshotter", place, { snapshotter, tag: "esgz" }),
    snapshotterContender("esgz snapshotter, optimized", place, { snapshotter, tag: "opt" }),
    ...peers(context, place),
  ]);
}

async function benchStart(
  context: BenchContext,
  { harbor, profile, image }: LazyBenchOptions,
  contendersAt: (place: Place) => readonly Contender[],
): Promise<Comparison> {
  const recipe = helloRecipe(image);
  const { repository, size } = await ensureHelloImage(recipe, { ...context, harbor });
  const place = { harbor, recipe, name: `${await harbor.openLink(profile)}/${repository}` };
  const title = `start ${recipe.name} (${Math.round(size / 1e6)} MB), ${profile.name} (${profile.rttMs} ms)`;
  const standings = await compare(contendersAt(place), {
    rounds: context.rounds,
    onRun: (name, { wallSeconds }) => context.say(`${title}: ${name} ${wallSeconds.toFixed(2)} s`),
  });
  return { title, standings };
}

function peers(context: BenchContext, place: Place): Contender[] {
  if (findCommand("containerd") === undefined || findCommand("ctr") === undefined) {
    context.say("skipped: containerd (needs containerd and ctr)");
    return [];
  }
  const found = [containerdContender(place)];
  const daemon = process.env["ESGZ_BENCH_STARGZ"] ?? findCommand("containerd-stargz-grpc");
  if (daemon !== undefined && findCommand("ctr-remote") !== undefined) {
    const snapshotter = referenceSnapshotter(daemon);
    found.push(snapshotterContender("stargz-snapshotter", place, { snapshotter, tag: "esgz" }));
    found.push(snapshotterContender("stargz-snapshotter, optimized", place, { snapshotter, tag: "opt" }));
  } else context.say("skipped: stargz-snapshotter (needs containerd-stargz-grpc and ctr-remote)");
  return found;
}

/** What is measured in one run, and what has to be ended after it. */
interface Run {
  readonly seconds: () => Promise<number>;
  readonly daemons: () => readonly ChildProcess[];
}

function contender(
  name: string,
  { harbor }: Place,
  begin: (scratch: string, stack: Disposer) => Promise<Run>,
): Contender {
  return {
    name,
    run: async () => {
      const scratch = mkdtempSync(join(tmpdir(), "esgz-bench-"));
      const stack = new Disposer();
      try {
        const run = await begin(scratch, stack);
        dropCaches();
        await harbor.takeStatistics();
        const wallSeconds = await run.seconds();
        const { bytesDown, requests } = await harbor.takeStatistics();
        const peakBytes = run.daemons().reduce((sum, { pid }) => sum + peakOfTree(pid ?? 0), 0);
        const facts = { MB: Math.round(bytesDown / 1e5) / 10, requests };
        return { wallSeconds, cpuSeconds: Number.NaN, peakBytes, facts };
      } finally {
        await stack.dispose();
        rmSync(scratch, { recursive: true, force: true });
      }
    },
  };
}

function esgzContender(
  name: string,
  place: Place,
  options: { readonly tag: string; readonly prepare?: "measured" | "before" },
): Contender {
  return contender(name, place, async (scratch, stack) => {
    const store = join(scratch, "store");
    const [file = "", ...args] = esgzCommand("daemon", "--store", store);
    const daemon = spawn(file, args, { stdio: ["ignore", "ignore", "ignore"] });
    stack.defer(() => endProcess(daemon));
    await untilExists(join(store, "control.sock"), daemon);
    runEsgz("images", "--store", store);
    const reference = `${place.name}:${options.tag}`;
    const pull = (): void => runEsgz("pull", "-q", "--store", store, reference);
    const run = esgzCommand("run", "-q", "--rm", "--store", store, reference);
    if (options.prepare === "before") pull();
    const seconds = async (): Promise<number> => {
      const started = performance.now();
      if (options.prepare === "measured") pull();
      const pulled = (performance.now() - started) / 1000;
      return pulled + (await measureUntil(run, { ready: place.recipe.ready }));
    };
    return { seconds, daemons: () => [daemon] };
  });
}

function containerdContender(place: Place): Contender {
  return contender("ctr pull, then run (overlayfs, gzip)", place, async (scratch, stack) => {
    const containerd = await startContainerd(scratch);
    stack.defer(containerd.stop);
    const reference = `${place.name}:gzip`;
    return {
      seconds: async () =>
        (await measureUntil(["ctr", "-a", containerd.socket, "images", "pull", "--plain-http", reference])) +
        (await ctrRun(containerd, { reference, recipe: place.recipe, snapshotter: "overlayfs" })),
      daemons: () => [],
    };
  });
}

/** What starts a snapshotter: it listens at `address` and keeps its things below `root`. */
interface Snapshotter {
  readonly argv: (at: { readonly address: string; readonly root: string }) => readonly string[];
  /** What has it unmount what it mounted. */
  readonly stopSignal: NodeJS.Signals;
  /** Waits until it answers. */
  readonly wait?: (root: string) => void;
}

const ESGZ_SNAPSHOTTER: Snapshotter = {
  argv: ({ address, root }) =>
    esgzCommand("daemon", "--address", address, "--root", root, "--log-level", "error"),
  stopSignal: "SIGTERM",
  wait: (root) => runEsgz("images", "--store", root),
};

function referenceSnapshotter(daemon: string): Snapshotter {
  return {
    argv: ({ address, root }) => {
      const config = `${root}.toml`;
      mkdirSync(root);
      writeFileSync(config, "");
      return [daemon, "--address", address, "--config", config, "--root", root, "--log-level", "error"];
    },
    stopSignal: "SIGINT",
  };
}

function snapshotterContender(
  name: string,
  place: Place,
  { snapshotter, tag }: { readonly snapshotter: Snapshotter; readonly tag: string },
): Contender {
  return contender(name, place, async (scratch, stack) => {
    const address = join(scratch, "stargz.sock");
    const [file = "", ...args] = snapshotter.argv({ address, root: join(scratch, "stargz") });
    const daemon = spawn(file, args, { stdio: "ignore" });
    stack.defer(() => endProcess(daemon, snapshotter.stopSignal));
    await untilExists(address, daemon);
    snapshotter.wait?.(join(scratch, "stargz"));
    const containerd = await startContainerd(scratch, { proxySnapshotter: { name: "stargz", address } });
    stack.defer(containerd.stop);
    const reference = `${place.name}:${tag}`;
    const pull = ["ctr-remote", "-a", containerd.socket, "images", "rpull", "--plain-http", reference];
    return {
      seconds: async () =>
        (await measureUntil(pull)) +
        (await ctrRun(containerd, { reference, recipe: place.recipe, snapshotter: "stargz" })),
      daemons: () => [daemon],
    };
  });
}

async function ctrRun(
  { socket }: BenchContainerd,
  options: { readonly reference: string; readonly recipe: HelloRecipe; readonly snapshotter: string },
): Promise<number> {
  const { reference, recipe, snapshotter } = options;
  const ctr = ["ctr", "-a", socket];
  const argv = [...ctr, "run", "--rm", "--snapshotter", snapshotter, reference, "bench", ...recipe.command];
  const attempt = (...args: readonly string[]): void => void spawnSync("ctr", ["-a", socket, ...args]);
  const stop = async (): Promise<void> => attempt("tasks", "kill", "--signal", "SIGKILL", "bench");
  try {
    return await measureUntil(argv, { ready: recipe.ready, stop });
  } finally {
    // What ctr did not get to: else its mounts outlive containerd.
    attempt("tasks", "rm", "--force", "bench");
    attempt("containers", "rm", "bench");
  }
}

/** Peak resident memory of a process and those below it, in bytes. */
function peakOfTree(pid: number): number {
  try {
    const own = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ");
    const below = children.map(Number).filter((child) => child > 0);
    return Number(own ?? 0) * 1024 + below.reduce((sum, child) => sum + peakOfTree(child), 0);
  } catch {
    return 0;
  }
}

function dropCaches(): void {
  execFileSync("sync");
  writeFileSync("/proc/sys/vm/drop_caches", "3");
}

/** What is to be ended, the last first. */
class Disposer {
  readonly #tasks: (() => Promise<void>)[] = [];

  defer(task: () => Promise<void>): void {
    this.#tasks.push(task);
  }

  async dispose(): Promise<void> {
    for (const task of this.#tasks.splice(0).toReversed()) await task();
  }
}
