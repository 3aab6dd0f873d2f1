/**
 * The benchmarks: `npm run bench -- SUITE [--runs N] [--input NAME,...] [--image NAME,...] [--link NAME,...]`; README.md
 * has the suites.
 *
 * @module
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BenchContext } from "./bench-context.ts";
import { bundleEsgz, useEsgz } from "./esgz-command.ts";
import type { Harbor } from "./harbor/index.ts";
import { HELLO_RECIPES } from "./inputs/hello-recipes.ts";
import { BENCH_INPUTS, type BenchInputName } from "./inputs/bench-inputs.ts";
import { LINK_PROFILES, linkProfile, type LinkProfile } from "./link/index.ts";
import { type Comparison, formatComparison, writeResults } from "./measure/index.ts";

const DIRECTORY = import.meta.dirname;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "5" },
    input: { type: "string", default: "fat" },
    image: { type: "string" },
    link: { type: "string", default: "loop" },
    containers: { type: "string", default: "100" },
    cache: { type: "string", default: join(DIRECTORY, ".cache") },
    results: { type: "string", default: join(DIRECTORY, "results") },
    package: { type: "string" },
  },
});
const say = (text: string): void => console.error(text);
const rounds = Number(values.runs);
const context: BenchContext = {
  cache: resolve(values.cache),
  rounds,
  say,
  compareOptions: (title) => ({
    rounds,
    onRun: (name, { wallSeconds }) => say(`${title}: ${name} ${wallSeconds.toFixed(3)} s`),
    onFailure: (name, message) => say(`${title}: ${name} FAILED: ${message}`),
  }),
};

/** What a suite measures: one comparison after another. */
type Suite = () => AsyncGenerator<Comparison>;

const suites: Readonly<Record<string, Suite>> = {
  convert: async function* () {
    const { benchConvert } = await import("./convert-bench.ts");
    for (const input of inputNames()) yield await benchConvert(context, input);
  },
  pull: async function* () {
    const { benchPull } = await import("./pull-bench.ts");
    await using harbor = await openHarbor();
    for (const input of inputNames())
      for (const profile of links()) yield await benchPull(context, { input, profile, harbor });
  },
  lazy: async function* () {
    const { benchLazy } = await import("./lazy/start-bench.ts");
    yield* eachImage("python,node,redis", benchLazy);
  },
  snapshotter: async function* () {
    const { benchSnapshotter } = await import("./lazy/start-bench.ts");
    yield* eachImage("python,node,redis", benchSnapshotter);
  },
  "snapshotter-calls": async function* () {
    const { benchCalls } = await import("./snapshotter/calls-bench.ts");
    yield* eachImage("layers-55", benchCalls);
  },
  "snapshotter-containers": async function* () {
    const { benchContainers } = await import("./snapshotter/containers-bench.ts");
    const containers = Number(values.containers);
    yield* eachImage("python", (each, options) => benchContainers(each, { ...options, containers }));
  },
  "lazy-read": async function* () {
    const { benchRead } = await import("./lazy/read-bench.ts");
    yield* eachImage("python", benchRead);
  },
  "lazy-layers": async function* () {
    const { benchLayers } = await import("./lazy/layers-bench.ts");
    await using harbor = await openHarbor();
    for (const profile of links()) yield* benchLayers(context, { profile, harbor });
  },
  "lazy-warm": async function* () {
    const { benchWarm } = await import("./lazy/warm-bench.ts");
    await using harbor = await openHarbor();
    for (const image of images("python,gcc")) yield* await benchWarm(context, { image, harbor });
  },
  "lazy-idle": async function* () {
    const { benchIdle } = await import("./lazy/idle-bench.ts");
    yield await benchIdle(context);
  },
};

const [name = ""] = positionals;
const suite = suites[name];
if (suite === undefined) {
  console.error(`expected one of ${Object.keys(suites).join(", ")}, got "${name}"`);
  process.exit(2);
}
if (values.package === undefined) bundleEsgz(context.cache);
else useEsgz(resolve(values.package));
const comparisons: Comparison[] = [];
for await (const comparison of suite()) {
  console.log(formatComparison(comparison));
  comparisons.push(comparison);
  // What is there stays there, whatever comes after it.
  writeResults(resolve(values.results), name, comparisons);
}
if (comparisons.some(({ standings }) => standings.some(({ failures }) => failures.length > 0)))
  process.exitCode = 1;

async function* eachImage(
  usual: string,
  bench: (
    context: BenchContext,
    options: { readonly image: string; readonly profile: LinkProfile; readonly harbor: Harbor },
  ) => Promise<Comparison>,
): AsyncGenerator<Comparison> {
  await using harbor = await openHarbor();
  for (const image of images(usual))
    for (const profile of links()) yield await bench(context, { image, profile, harbor });
}

async function openHarbor(): Promise<Harbor> {
  const { startHarbor } = await import("./harbor/index.ts");
  return await startHarbor(join(context.cache, "registry"), { say });
}

function links(): LinkProfile[] {
  return values.link === "all" ? [...LINK_PROFILES] : values.link.split(",").map(linkProfile);
}

function images(usual: string): string[] {
  const text = values.image ?? usual;
  return text === "all" ? HELLO_RECIPES.map((recipe) => recipe.name) : text.split(",");
}

function inputNames(): BenchInputName[] {
  return values.input.split(",").map((text) => {
    const found = BENCH_INPUTS.find((candidate) => candidate === text);
    if (found !== undefined) return found;
    throw new RangeError(`Cannot find input "${text}": expected one of ${BENCH_INPUTS.join(", ")}`);
  });
}
