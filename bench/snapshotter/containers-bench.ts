/**
 * `npm run bench -- snapshotter-containers --containers N`: many containers started at once on one image.
 *
 * The image is pulled before; the clock ends when the last container has said that it is ready.
 *
 * @module
 */
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import type { BenchContext } from "../bench-context.ts";
import { startContainerd } from "../containerd.ts";
import { ensureHelloImage, helloRecipe } from "../inputs/hello-images.ts";
import type { HelloRecipe } from "../inputs/hello-recipes.ts";
import {
  ESGZ_SNAPSHOTTER,
  findReference,
  type Snapshotter,
  startSnapshotter,
} from "../lazy/containerd-contenders.ts";
import type { LazyBenchOptions } from "../lazy/start-bench.ts";
import { type Place, startContender } from "../lazy/start-contender.ts";
import { compare, type Comparison, type Contender, measureUntil, median } from "../measure/index.ts";

const run = promisify(execFile);

/** How many, and where. */
export interface ContainersBenchOptions extends LazyBenchOptions {
  readonly containers: number;
}

/** Measures one image over one link. */
export async function benchContainers(
  context: BenchContext,
  { containers, harbor, image, profile }: ContainersBenchOptions,
): Promise<Comparison> {
  const recipe = helloRecipe(image);
  const { repository } = await ensureHelloImage(recipe, { ...context, harbor });
  const place = { harbor, recipe, name: `${await harbor.openLink(profile)}/${repository}` };
  const title = `${containers} containers of ${image} at once, ${profile.name} (${profile.rttMs} ms)`;
  const contenders = [
    lazyContender("esgz snapshotter", place, { snapshotter: ESGZ_SNAPSHOTTER, containers }),
    eagerContender("overlayfs, gzip", place, containers),
  ];
  const snapshotter = findReference();
  if (snapshotter === undefined) context.say("skipped: stargz-snapshotter (needs containerd-stargz-grpc)");
  else contenders.push(lazyContender("stargz-snapshotter", place, { snapshotter, containers }));
  return { title, standings: await compare(contenders, context.compareOptions(title)) };
}

function lazyContender(
  name: string,
  place: Place,
  options: { readonly snapshotter: Snapshotter; readonly containers: number },
): Contender {
  return startContender(name, place, async (scratch) => {
    const { address, process: daemon } = await startSnapshotter(options.snapshotter, scratch);
    const containerd = await startContainerd(scratch.directory, {
      proxySnapshotter: { name: "stargz", address },
    });
    scratch.defer(containerd.stop);
    const { socket } = containerd;
    const reference = `${place.name}:esgz`;
    await measureUntil(["ctr-remote", "-a", socket, "images", "rpull", "--plain-http", reference]);
    const { containers } = options;
    const crowd = new Crowd({ socket, reference, snapshotter: "stargz", containers, ...place });
    scratch.defer(() => crowd.end());
    return { daemons: [daemon], start: (onReady) => crowd.start(onReady), facts: () => crowd.facts() };
  });
}

function eagerContender(name: string, place: Place, containers: number): Contender {
  return startContender(name, place, async (scratch) => {
    const containerd = await startContainerd(scratch.directory);
    scratch.defer(containerd.stop);
    const { socket } = containerd;
    const reference = `${place.name}:gzip`;
    await measureUntil(["ctr", "-a", socket, "images", "pull", "--plain-http", reference]);
    const crowd = new Crowd({ socket, reference, snapshotter: "overlayfs", containers, ...place });
    scratch.defer(() => crowd.end());
    return { daemons: [], start: (onReady) => crowd.start(onReady), facts: () => crowd.facts() };
  });
}

interface CrowdOptions {
  readonly socket: string;
  readonly reference: string;
  readonly snapshotter: string;
  readonly recipe: HelloRecipe;
  readonly containers: number;
}

/** Containers of one image. */
class Crowd {
  readonly #options: CrowdOptions;
  readonly #names: readonly string[];
  /** How many have neither said that they are ready nor failed. */
  #awaited: number;
  readonly #everybody = Promise.withResolvers<void>();
  #readySeconds: readonly number[] = [];

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#names = Array.from({ length: options.containers }, (_, at) => `bench-${at}`);
    this.#awaited = options.containers;
  }

  /** Starts all; seconds until the last one is ready. Rejects with the first failure, when all have ended. */
  async start(onReady: () => Promise<void>): Promise<number> {
    const settled = await Promise.allSettled(
      this.#names.map(async (name) => {
        let isOpen = true;
        const close = (): void => {
          if (isOpen && (this.#awaited -= 1) === 0) this.#everybody.resolve();
          isOpen = false;
        };
        return await this.#run(name, close).finally(close);
      }),
    );
    const failures = settled.flatMap((each) => (each.status === "rejected" ? [String(each.reason)] : []));
    if (failures.length > 0)
      throw new Error(`${failures.length} of ${this.#names.length} containers failed: ${failures[0]}`);
    this.#readySeconds = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    await onReady();
    return Math.max(...this.#readySeconds);
  }

  /** When the first and the middle one was ready. */
  facts(): Promise<Readonly<Record<string, number>>> {
    const seconds = this.#readySeconds;
    return Promise.resolve({
      "first s": Math.min(...seconds),
      "middle s": median(seconds),
    });
  }

  /** Removes what `ctr` did not get to: else its mounts outlive containerd. */
  end(): Promise<void> {
    const { stdout } = this.#ctr("containers", "ls", "-q");
    for (const name of stdout.split("\n").filter(Boolean)) {
      this.#ctr("tasks", "rm", "--force", name);
      this.#ctr("containers", "rm", name);
    }
    return Promise.resolve();
  }

  /** None is ended before all are ready: that would be work beside what is measured. */
  async #run(name: string, isReady: () => void): Promise<number> {
    const { recipe, reference, snapshotter, socket } = this.#options;
    const flags = ["run", "--rm", "--snapshotter", snapshotter];
    const argv = ["ctr", "-a", socket, ...flags, reference, name, ...recipe.command];
    const kill = ["-a", socket, "tasks", "kill", "--signal", "SIGKILL", name];
    const stop = async (): Promise<void> => void (await run("ctr", kill).catch(() => undefined));
    const onReady = async (): Promise<void> => {
      isReady();
      await this.#everybody.promise;
    };
    return await measureUntil(argv, { ready: recipe.ready, onReady, stop });
  }

  #ctr(...args: readonly string[]): { readonly stdout: string } {
    return spawnSync("ctr", ["-a", this.#options.socket, ...args], { encoding: "utf8" });
  }
}
