/**
 * Contenders against each other: in turn, several times, medians and ratios.
 *
 * @module
 */
import type { Measurement } from "./measure-command.ts";

/** A measurement, and what else is worth telling, as numbers by name. */
export interface Outcome extends Measurement {
  readonly facts?: Readonly<Record<string, number>>;
}

/** Something that can be measured again and again. */
export interface Contender {
  readonly name: string;
  /** Does everything that is not measured, then measures one run. */
  run(): Promise<Outcome>;
}

/** The medians of one contender. */
export interface Standing {
  readonly name: string;
  /** Runs that succeeded. */
  readonly runs: number;
  readonly wallSeconds: number;
  readonly wallRange: readonly [number, number];
  readonly cpuSeconds: number;
  /** The highest of all runs. */
  readonly peakBytes: number;
  /** Medians. */
  readonly facts: Readonly<Record<string, number>>;
  /** The median over rounds of (this contender's wall time / the first contender's in the same round). */
  readonly ratio: number;
  /** What the runs failed with that did. */
  readonly failures: readonly string[];
}

/** How to compare. */
export interface CompareOptions {
  readonly rounds: number;
  readonly onRun?: (name: string, outcome: Outcome) => void;
  /** A run failed; the others go on. */
  readonly onFailure?: (name: string, message: string) => void;
}

interface Runs {
  readonly name: string;
  /** By round; undefined where the run failed. */
  readonly outcomes: (Outcome | undefined)[];
  readonly failures: string[];
}

/** Runs all contenders in turn, `rounds` times; the first one is what the ratios are of. */
export async function compare(
  contenders: readonly Contender[],
  { rounds, onRun, onFailure }: CompareOptions,
): Promise<Standing[]> {
  const all: Runs[] = contenders.map(({ name }) => ({ name, outcomes: [], failures: [] }));
  for (let round = 0; round < rounds; round += 1) {
    for (const [at, contender] of contenders.entries()) {
      const outcome = await contender.run().catch((error: unknown) => {
        const message = error instanceof Error ? error.message : String(error);
        all[at]?.failures.push(message);
        onFailure?.(contender.name, message);
        return undefined;
      });
      all[at]?.outcomes.push(outcome);
      if (outcome !== undefined) onRun?.(contender.name, outcome);
    }
  }
  return all.map((runs) => standingOf(runs, all[0]?.outcomes ?? []));
}

function standingOf({ name, outcomes, failures }: Runs, base: readonly (Outcome | undefined)[]): Standing {
  const runs = outcomes.filter((outcome) => outcome !== undefined);
  const walls = runs.map(({ wallSeconds }) => wallSeconds);
  const ratios = outcomes
    .map((outcome, round) => (outcome?.wallSeconds ?? Number.NaN) / (base[round]?.wallSeconds ?? Number.NaN))
    .filter((ratio) => !Number.isNaN(ratio));
  return {
    name,
    runs: runs.length,
    wallSeconds: median(walls),
    wallRange: [Math.min(...walls), Math.max(...walls)],
    cpuSeconds: median(runs.map(({ cpuSeconds }) => cpuSeconds)),
    peakBytes: Math.max(0, ...runs.map(({ peakBytes }) => peakBytes)),
    facts: medianFacts(runs.map(({ facts }) => facts ?? {})),
    ratio: median(ratios),
    failures,
  };
}

function medianFacts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const names = [...new Set(all.flatMap((facts) => Object.keys(facts)))];
  return Object.fromEntries(
    names.map((name) => {
      const values = all.map((facts) => facts[name]).filter((value) => value !== undefined);
      return [name, Math.round(median(values) * 100) / 100];
    }),
  );
}

/** The middle value, or the mean of the two in the middle; not a number, of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return (low + high) / 2;
}
