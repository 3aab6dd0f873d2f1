/**
 * Feeds many damaged inputs to the parsers: each must give a value or an `EsgzError`, soon, in little memory.
 *
 * @module
 */
import { isEsgzError, messageOf } from "../../src/errors/index.ts";
import { createTargets, type FuzzTarget } from "./fuzz-targets.ts";
import { SeededRandom } from "./seeded-random.ts";

/** What to run. */
export interface FuzzOptions {
  /** Inputs in all. */
  readonly runs: number;
  /** The first input's seed; the next has the next number. */
  readonly seed: number;
  /** One target alone. */
  readonly target?: string | undefined;
  readonly onProgress?: (report: FuzzReport) => void;
}

/** What one target did. */
export interface FuzzReport {
  readonly target: string;
  readonly inputs: number;
  /** Inputs that gave a value. */
  readonly accepted: number;
  readonly inputsPerSecond: number;
  readonly slowestMs: number;
}

/** A single input may take this much of a processor, of which other programs may want much, too. */
const MAX_MS = 5000;
/** And the process may grow by this much over what it had before. */
const MAX_GROWTH = 1 << 30;
const MEMORY_CHECK_EVERY = 500;

/**
 * Runs the targets, each its share of the inputs.
 *
 * @throws {Error} for the first input that fails, with the arguments that repeat it.
 */
export async function runFuzz(options: FuzzOptions): Promise<readonly FuzzReport[]> {
  const all = await createTargets();
  const targets = all.filter(({ name }) => options.target === undefined || name === options.target);
  const shares = targets.reduce((total, { share }) => total + share, 0);
  const reports: FuzzReport[] = [];
  for (const target of targets) {
    const runs = Math.ceil((options.runs * target.share) / shares);
    const report = await runTarget(target, { runs, seed: options.seed });
    options.onProgress?.(report);
    reports.push(report);
  }
  return reports;
}

async function runTarget(
  target: FuzzTarget,
  { runs, seed }: { readonly runs: number; readonly seed: number },
): Promise<FuzzReport> {
  const startMemory = process.memoryUsage().rss;
  const start = performance.now();
  let accepted = 0;
  let slowestMs = 0;
  for (let i = 0; i < runs; i += 1) {
    const repeat = `--target ${target.name} --seed ${seed + i} --runs 1`;
    const before = process.cpuUsage();
    if (await feed(target, new SeededRandom(seed + i), repeat)) accepted += 1;
    const { user, system } = process.cpuUsage(before);
    const elapsedMs = (user + system) / 1000;
    slowestMs = Math.max(slowestMs, elapsedMs);
    if (elapsedMs > MAX_MS)
      throw new Error(`An input took ${Math.round(elapsedMs)} ms; repeat it with ${repeat}`);
    if (i % MEMORY_CHECK_EVERY !== 0 && elapsedMs < 50) continue;
    const growth = process.memoryUsage().rss - startMemory;
    if (growth > MAX_GROWTH) throw new Error(`Memory grew by ${growth} bytes at or before ${repeat}`);
  }
  const seconds = (performance.now() - start) / 1000;
  return { target: target.name, inputs: runs, accepted, inputsPerSecond: runs / seconds, slowestMs };
}

/** Whether the input gave a value; throws unless it gave that or a typed error. */
async function feed(target: FuzzTarget, random: SeededRandom, repeat: string): Promise<boolean> {
  try {
    await target.run(random);
    return true;
  } catch (error) {
    if (isEsgzError(error) && error.code !== "INTERNAL") return false;
    throw new Error(`An input gave "${messageOf(error)}"; repeat it with ${repeat}`, { cause: error });
  }
}
