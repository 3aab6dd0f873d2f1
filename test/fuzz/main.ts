/**
 * `npm run fuzz -- [--runs N] [--seed S] [--target footer|toc|tar|blob]`
 *
 * @module
 */
import { parseArgs } from "node:util";
import { TARGET_NAMES } from "./fuzz-targets.ts";
import { runFuzz } from "./run-fuzz.ts";

const DEFAULT_RUNS = 1_000_000;

const { values } = parseArgs({
  options: { runs: { type: "string" }, seed: { type: "string" }, target: { type: "string" } },
});
const runs = Number(values.runs ?? DEFAULT_RUNS);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const isKnown = values.target === undefined || TARGET_NAMES.some((name) => name === values.target);
if (!Number.isSafeInteger(runs) || !Number.isSafeInteger(seed) || !isKnown) {
  console.error(`usage: npm run fuzz -- [--runs N] [--seed S] [--target ${TARGET_NAMES.join("|")}]`);
  process.exit(2);
}

console.log(`seed ${seed}, ${runs} inputs`);
try {
  await runFuzz({
    runs,
    seed,
    target: values.target,
    onProgress: ({ target, inputs, accepted, inputsPerSecond, slowestMs }) => {
      const rate = `${Math.round(inputsPerSecond)} inputs/s`;
      console.log(
        `${target}: ${inputs} inputs, ${accepted} accepted, ${rate}, slowest ${slowestMs.toFixed(1)} ms`,
      );
    },
  });
} catch (error) {
  console.error(error);
  process.exit(1);
}
