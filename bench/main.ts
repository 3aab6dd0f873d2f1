/**
 * The benchmarks: `npm run bench -- convert|pull|lazy|snapshotter [--runs N] [--input NAME,...] [--image NAME,...] [--link NAME,...]`.
 *
 * @module
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { BENCH_INPUTS, type BenchInputName } from "./inputs/bench-inputs.ts";
import { linkProfile } from "./link/index.ts";
import { type Comparison, formatComparison, writeResults } from "./measure/index.ts";

/** What every benchmark gets. */
export interface BenchContext {
  /** Where inputs are kept between runs. */
  readonly cache: string;
  readonly rounds: number;
  /** Tells people what goes on. */
  readonly say: (text: string) => void;
}

const DIRECTORY = import.meta.dirname;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    input: { type: "string", default: "fat" },
    image: { type: "string", default: "python,node,redis" },
    link: { type: "string", default: "loop" },
  },
});
const context: BenchContext = {
  cache: join(DIRECTORY, ".cache"),
  rounds: Number(values.runs),
  say: (text) => console.error(text),
};
const inputs = values.input.split(",").map(inputName);
const suites: Readonly<Record<string, () => Promise<Comparison[]>>> = {
  convert: runConvert,
  pull: runPull,
  lazy: async () => await runLazy("benchLazy"),
  snapshotter: async () => await runLazy("benchSnapshotter"),
};
const [name = ""] = positionals;
const suite = suites[name];
if (suite === undefined) {
  console.error(`expected one of ${Object.keys(suites).join(", ")}, got "${name}"`);
  process.exit(2);
}
const comparisons = await suite();
for (const comparison of comparisons) console.log(formatComparison(comparison));
writeResults(join(DIRECTORY, "results"), name, comparisons);

async function runConvert(): Promise<Comparison[]> {
  const { benchConvert } = await import("./convert-bench.ts");
  const results: Comparison[] = [];
  for (const input of inputs) results.push(await benchConvert(context, input));
  return results;
}

async function runPull(): Promise<Comparison[]> {
  const [{ benchPull }, { startHarbor }] = await Promise.all([
    import("./pull-bench.ts"),
    import("./harbor/index.ts"),
  ]);
  await using harbor = await startHarbor(join(context.cache, "registry"));
  const results: Comparison[] = [];
  for (const input of inputs) {
    for (const link of values.link.split(",")) {
      results.push(await benchPull(context, { input, profile: linkProfile(link), harbor }));
    }
  }
  return results;
}

async function runLazy(bench: "benchLazy" | "benchSnapshotter"): Promise<Comparison[]> {
  const [benches, { startHarbor }] = await Promise.all([
    import("./lazy-bench.ts"),
    import("./harbor/index.ts"),
  ]);
  await using harbor = await startHarbor(join(context.cache, "registry"));
  const results: Comparison[] = [];
  for (const image of values.image.split(",")) {
    for (const link of values.link.split(",")) {
      results.push(await benches[bench](context, { image, profile: linkProfile(link), harbor }));
    }
  }
  return results;
}

function inputName(text: string): BenchInputName {
  const found = BENCH_INPUTS.find((candidate) => candidate === text);
  if (found !== undefined) return found;
  throw new RangeError(`Cannot find input "${text}": expected one of ${BENCH_INPUTS.join(", ")}`);
}
