/**
 * containerd, with overlayfs or with a snapshotter that is lazy.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BenchContainerd, endProcess, startContainerd, untilExists } from "../containerd.ts";
import { esgzCommand, runEsgz } from "../esgz-command.ts";
import { findCommand } from "../find-command.ts";
import type { HelloRecipe } from "../inputs/hello-recipes.ts";
import { type Contender, measureUntil } from "../measure/index.ts";
import type { Scratch } from "../scratch.ts";
import { type Place, startContender } from "./start-contender.ts";

/** Pulls the gzip image, unpacks it, and runs it. */
export function containerdContender(place: Place): Contender {
  return startContender("ctr pull, then run (overlayfs, gzip)", place, async (scratch) => {
    const containerd = await startContainerd(scratch.directory);
    scratch.defer(containerd.stop);
    const reference = `${place.name}:gzip`;
    const pull = ["ctr", "-a", containerd.socket, "images", "pull", "--plain-http", reference];
    const { recipe } = place;
    return {
      daemons: [containerd.process],
      start: async (onReady) =>
        (await measureUntil(pull)) +
        (await ctrRun(containerd, { reference, recipe, snapshotter: "overlayfs", onReady })),
    };
  });
}

/** What starts a snapshotter: it listens at `address` and keeps its things below `root`. */
export interface Snapshotter {
  readonly argv: (at: { readonly address: string; readonly root: string }) => readonly string[];
  /** What has it unmount what it mounted. */
  readonly stopSignal: NodeJS.Signals;
  /** Waits until it answers. */
  readonly wait?: (root: string) => void;
}

/** esgz as one. */
export const ESGZ_SNAPSHOTTER: Snapshotter = {
  argv: ({ address, root }) =>
    esgzCommand("daemon", "--address", address, "--root", root, "--log-level", "error"),
  stopSignal: "SIGTERM",
  wait: (root) => runEsgz("images", "--store", root),
};

/** The reference: the program that `ESGZ_BENCH_STARGZ` names, or the one that is installed; undefined if there is none. */
export function findReference(): Snapshotter | undefined {
  const program = process.env["ESGZ_BENCH_STARGZ"] ?? findCommand("containerd-stargz-grpc");
  return program === undefined ? undefined : referenceSnapshotter(program);
}

function referenceSnapshotter(program: string): Snapshotter {
  return {
    argv: ({ address, root }) => {
      const config = `${root}.toml`;
      mkdirSync(root);
      writeFileSync(config, "");
      return [program, "--address", address, "--config", config, "--root", root, "--log-level", "error"];
    },
    stopSignal: "SIGINT",
  };
}

/** A snapshotter that answers. */
export interface RunningSnapshotter {
  /** Its socket. */
  readonly address: string;
  readonly process: ChildProcess;
}

/** Starts one, which ends with the scratch. */
export async function startSnapshotter(
  { argv, stopSignal, wait }: Snapshotter,
  scratch: Scratch,
): Promise<RunningSnapshotter> {
  const address = join(scratch.directory, "stargz.sock");
  const root = join(scratch.directory, "stargz");
  const [file = "", ...args] = argv({ address, root });
  const daemon = spawn(file, args, { stdio: "ignore" });
  scratch.defer(() => endProcess(daemon, stopSignal));
  await untilExists(address, daemon);
  wait?.(root);
  return { address, process: daemon };
}

/** Pulls with `ctr-remote images rpull` and runs. */
export function snapshotterContender(
  name: string,
  place: Place,
  { snapshotter, tag }: { readonly snapshotter: Snapshotter; readonly tag: string },
): Contender {
  return startContender(name, place, async (scratch) => {
    const { address, process: daemon } = await startSnapshotter(snapshotter, scratch);
    const containerd = await startContainerd(scratch.directory, {
      proxySnapshotter: { name: "stargz", address },
    });
    scratch.defer(containerd.stop);
    const reference = `${place.name}:${tag}`;
    const pull = ["ctr-remote", "-a", containerd.socket, "images", "rpull", "--plain-http", reference];
    const { recipe } = place;
    let pulledSeconds = 0;
    return {
      daemons: [daemon],
      start: async (onReady) => {
        pulledSeconds = await measureUntil(pull);
        return (
          pulledSeconds + (await ctrRun(containerd, { reference, recipe, snapshotter: "stargz", onReady }))
        );
      },
      facts: () => Promise.resolve({ "pull s": pulledSeconds }),
    };
  });
}

async function ctrRun(
  { socket }: BenchContainerd,
  options: {
    readonly reference: string;
    readonly recipe: HelloRecipe;
    readonly snapshotter: string;
    readonly onReady: () => Promise<void>;
  },
): Promise<number> {
  const { reference, recipe, snapshotter, onReady } = options;
  const flags = ["run", "--rm", "--snapshotter", snapshotter];
  const argv = ["ctr", "-a", socket, ...flags, reference, "bench", ...recipe.command];
  const attempt = (...args: readonly string[]): void => void spawnSync("ctr", ["-a", socket, ...args]);
  const stop = async (): Promise<void> => attempt("tasks", "kill", "--signal", "SIGKILL", "bench");
  try {
    return await measureUntil(argv, { ready: recipe.ready, onReady, stop });
  } finally {
    // What ctr did not get to: else its mounts outlive containerd.
    attempt("tasks", "rm", "--force", "bench");
    attempt("containers", "rm", "bench");
  }
}
