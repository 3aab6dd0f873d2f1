/**
 * `npm run bench -- lazy`: from nothing to an image's first sign of life, against the tools that people use for it.
 *
 * Every run begins with an empty store and cold page caches; daemons run already, as they do on a node.
 *
 * @module
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
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

/** Measures one image over one link. */
export async function benchLazy(
  context: BenchContext,
  options: { readonly image: string; readonly profile: LinkProfile; readonly harbor: Harbor },
): Promise<Comparison> {
  const { harbor, profile } = options;
  const recipe = helloRecipe(options.image);
  const { repository, size } = await ensureHelloImage(recipe, { ...context, harbor });
  const place = { harbor, recipe, name: `${await harbor.openLink(profile)}/${repository}` };
  const contenders = [
    esgzContender("esgz run, lazy", place, { tag: "esgz" }),
    esgzContender("esgz run, lazy, optimized", place, { tag: "opt" }),
    esgzContender("esgz pull, then run", place, { tag: "esgz", prepare: "measured" }),
    esgzContender("esgz run, warm", place, { tag: "esgz", prepare: "before" }),
    ...peers(context, place),
  ];
  const title = `start ${recipe.name} (${Math.round(size / 1e6)} MB), ${profile.name} (${profile.rttMs} ms)`;
  const standings = await compare(contenders, {
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
    found.push(referenceContender("stargz-snapshotter, lazy", place, { daemon, tag: "esgz" }));
    found.push(referenceContender("stargz-snapshotter, lazy, optimized", place, { daemon, tag: "opt" }));
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

function referenceContender(
  name: string,
  place: Place,
  { daemon, tag }: { readonly daemon: string; readonly tag: string },
): Contender {
  return contender(name, place, async (scratch, stack) => {
    const address = join(scratch, "stargz.sock");
    const config = join(scratch, "stargz.toml");
    mkdirSync(join(scratch, "stargz"));
    writeFileSync(config, "");
    const snapshotter = spawn(
      daemon,
      ["--address", address, "--config", config, "--root", join(scratch, "stargz"), "--log-level", "error"],
      { stdio: "ignore" },
    );
    // SIGINT has it unmount what it mounted.
    stack.defer(() => endProcess(snapshotter, "SIGINT"));
    await untilExists(address, snapshotter);
    const containerd = await startContainerd(scratch, { proxySnapshotter: { name: "stargz", address } });
    stack.defer(containerd.stop);
    const reference = `${place.name}:${tag}`;
    const pull = ["ctr-remote", "-a", containerd.socket, "images", "rpull", "--plain-http", reference];
    return {
      seconds: async () =>
        (await measureUntil(pull)) +
        (await ctrRun(containerd, { reference, recipe: place.recipe, snapshotter: "stargz" })),
      daemons: () => [snapshotter],
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
  const stop = async (): Promise<void> => {
    execFileSync("ctr", ["-a", socket, "tasks", "kill", "--signal", "SIGKILL", "bench"], { stdio: "ignore" });
  };
  return await measureUntil(argv, { ready: recipe.ready, stop });
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
