/**
 * `npm run bench -- lazy-layers`: what a layer more costs.
 *
 * @module
 */
import type { BenchContext } from "../bench-context.ts";
import type { Harbor } from "../harbor/index.ts";
import { ensureHelloImage, helloRecipe } from "../inputs/hello-images.ts";
import type { LinkProfile } from "../link/index.ts";
import { compare, type Comparison, type Standing } from "../measure/index.ts";
import { esgzContender, type EsgzStart } from "./esgz-contender.ts";
import type { Place } from "./start-contender.ts";

const COUNTS = [2, 32, 100] as const;
/** Reads nothing that the added layers have. */
const GREETING = ["sh", "-c", "echo hello"] as const;

/** Starts images that differ in their number of layers: one comparison for each way to start them. */
export async function* benchLayers(
  context: BenchContext,
  { profile, harbor }: { readonly profile: LinkProfile; readonly harbor: Harbor },
): AsyncGenerator<Comparison> {
  const host = await harbor.openLink(profile);
  const places: Place[] = [];
  for (const count of COUNTS) {
    const recipe = helloRecipe(`layers-${count}`);
    const { repository } = await ensureHelloImage(recipe, { ...context, harbor });
    places.push({ harbor, recipe, name: `${host}/${repository}` });
  }
  const ways: readonly (readonly [string, EsgzStart])[] = [
    ["lazy, reading none of the layers", { tag: "esgz", command: GREETING }],
    ["lazy, reading a file of each layer", { tag: "esgz" }],
    ["lazy, optimized, reading a file of each layer", { tag: "opt" }],
    ["warm, reading a file of each layer", { tag: "esgz", prepare: "before" }],
  ];
  for (const [way, start] of ways) {
    const title = `layers, ${way}, ${profile.name} (${profile.rttMs} ms)`;
    const contenders = places.map((place, at) =>
      esgzContender(`esgz run, ${COUNTS[at]} layers`, place, start),
    );
    const standings = await compare(contenders, context.compareOptions(title));
    yield { title, standings, notes: [costOfLayer(standings)] };
  }
}

function costOfLayer(standings: readonly Standing[]): string {
  const first = standings[0]?.wallSeconds ?? Number.NaN;
  const last = standings.at(-1)?.wallSeconds ?? Number.NaN;
  const layers = Math.max(...COUNTS) - Math.min(...COUNTS);
  return `a layer more costs ${(((last - first) / layers) * 1000).toFixed(2)} ms`;
}
