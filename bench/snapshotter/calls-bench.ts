/**
 * `npm run bench -- snapshotter-calls`: what BuildKit asks for a base that is not pulled and five steps on it, call by call.
 *
 * ```text
 * base   per layer    Stat, Prepare (ALREADY_EXISTS), List, Stat       then per layer, the last first: Update
 * step   per layer    Stat, Update      Prepare, Mounts      then per layer, the last first: Update
 * ```
 *
 * @module
 */
import type { BenchContext } from "../bench-context.ts";
import { ensureHelloImage, helloRecipe } from "../inputs/hello-images.ts";
import { ESGZ_SNAPSHOTTER, findReference, startSnapshotter } from "../lazy/containerd-contenders.ts";
import type { Snapshotter } from "../lazy/containerd-contenders.ts";
import type { LazyBenchOptions } from "../lazy/start-bench.ts";
import { type Place, startContender } from "../lazy/start-contender.ts";
import { compare, type Comparison, type Contender } from "../measure/index.ts";
import { BuildCalls } from "./build-calls.ts";
import { type BaseLayer, readBaseLayers } from "./base-layers.ts";

const STEPS = 5;

/** Measures one image over one link. */
export async function benchCalls(
  context: BenchContext,
  { harbor, image, profile }: LazyBenchOptions,
): Promise<Comparison> {
  const recipe = helloRecipe(image);
  const { repository } = await ensureHelloImage(recipe, { ...context, harbor });
  const layers = await readBaseLayers({ registry: harbor.direct, repository, tag: "esgz" });
  const place = { harbor, recipe, name: `${await harbor.openLink(profile)}/${repository}` };
  const title = `BuildKit's calls, ${layers.length} layers, ${STEPS} steps, ${profile.name} (${profile.rttMs} ms)`;
  const contenders = [callsContender("esgz snapshotter", place, { layers, snapshotter: ESGZ_SNAPSHOTTER })];
  const snapshotter = findReference();
  if (snapshotter === undefined) context.say("skipped: stargz-snapshotter (needs containerd-stargz-grpc)");
  else contenders.push(callsContender("stargz-snapshotter", place, { layers, snapshotter }));
  return { title, standings: await compare(contenders, context.compareOptions(title)) };
}

function callsContender(
  name: string,
  place: Place,
  options: { readonly layers: readonly BaseLayer[]; readonly snapshotter: Snapshotter },
): Contender {
  return startContender(name, place, async (scratch) => {
    const { address, process: daemon } = await startSnapshotter(options.snapshotter, scratch);
    const calls = new BuildCalls(address, { reference: `${place.name}:esgz`, layers: options.layers });
    scratch.defer(() => calls.close());
    await calls.connect();
    return {
      daemons: [daemon],
      start: async (onReady) => {
        const seconds = await calls.prepareBase();
        for (let step = 0; step < STEPS; step += 1) await calls.runStep(step);
        await onReady();
        return seconds;
      },
      facts: () => Promise.resolve(calls.facts()),
    };
  });
}
