/**
 * `npm run bench -- lazy` and `-- snapshotter`: from nothing to an image's first sign of life, against the tools that people use for it.
 *
 * Every run begins with an empty store and cold page caches; daemons run already, as they do on a node.
 *
 * @module
 */
import { findCommand } from "../find-command.ts";
import type { Harbor } from "../harbor/index.ts";
import { ensureHelloImage, helloRecipe } from "../inputs/hello-images.ts";
import type { LinkProfile } from "../link/index.ts";
import type { BenchContext } from "../bench-context.ts";
import { compare, type Comparison, type Contender } from "../measure/index.ts";
import { containerdContender, findReference, snapshotterContender } from "./containerd-contenders.ts";
import { ESGZ_SNAPSHOTTER } from "./containerd-contenders.ts";
import { esgzContender } from "./esgz-contender.ts";
import { floorContender, recordNeeded } from "./floor.ts";
import type { Place } from "./start-contender.ts";

/** Where an image is started, and by whom. */
export interface LazyBenchOptions {
  readonly image: string;
  readonly profile: LinkProfile;
  readonly harbor: Harbor;
}

/** Measures one image over one link, started by `esgz run`. */
export async function benchLazy(context: BenchContext, options: LazyBenchOptions): Promise<Comparison> {
  return await benchStart(context, options, async (place) => [
    esgzContender("esgz run, lazy", place, { tag: "esgz" }),
    esgzContender("esgz run, lazy, optimized", place, { tag: "opt" }),
    esgzContender("esgz run, prefetched", place, { tag: "opt", prepare: "before", pulls: "start" }),
    esgzContender("esgz pull, then run", place, { tag: "esgz", prepare: "measured" }),
    esgzContender("esgz run, warm", place, { tag: "esgz", prepare: "before" }),
    ...(await floors(context, place)),
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
  return await benchStart(context, options, async (place) => [
    snapshotterContender("esgz snapshotter", place, { snapshotter, tag: "esgz" }),
    snapshotterContender("esgz snapshotter, optimized", place, { snapshotter, tag: "opt" }),
    ...peers(context, place),
  ]);
}

async function benchStart(
  context: BenchContext,
  { harbor, profile, image }: LazyBenchOptions,
  contendersAt: (place: Place) => Promise<readonly Contender[]>,
): Promise<Comparison> {
  const recipe = helloRecipe(image);
  const { repository, size } = await ensureHelloImage(recipe, { ...context, harbor });
  const place = { harbor, recipe, name: `${await harbor.openLink(profile)}/${repository}` };
  const title = `start ${recipe.name} (${Math.round(size / 1e6)} MB), ${profile.name} (${profile.rttMs} ms)`;
  const standings = await compare(await contendersAt(place), context.compareOptions(title));
  return { title, standings };
}

/** What the link alone takes for what a lazy start reads. */
async function floors(context: BenchContext, place: Place): Promise<Contender[]> {
  if (findCommand("curl") === undefined) {
    context.say("skipped: the floor (needs curl)");
    return [];
  }
  const needed = await recordNeeded(place);
  return [4, 1].map((connections) => floorContender(place, { needed, connections }));
}

function peers(context: BenchContext, place: Place): Contender[] {
  if (findCommand("containerd") === undefined || findCommand("ctr") === undefined) {
    context.say("skipped: containerd (needs containerd and ctr)");
    return [];
  }
  const found = [containerdContender(place)];
  const snapshotter = findReference();
  if (snapshotter !== undefined && findCommand("ctr-remote") !== undefined) {
    found.push(snapshotterContender("stargz-snapshotter", place, { snapshotter, tag: "esgz" }));
    found.push(snapshotterContender("stargz-snapshotter, optimized", place, { snapshotter, tag: "opt" }));
  } else context.say("skipped: stargz-snapshotter (needs containerd-stargz-grpc and ctr-remote)");
  return found;
}
