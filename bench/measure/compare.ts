/**
 * Contenders against each other: in turn, several times, medians and ratios.
 *
 * @module
 */
import type { Measurement } from "./measure-command.ts";

/** Something that can be measured again and again. */
export interface Contender {
  readonly name: string;
  /** Does everything that is not measured, then measures one run. */
  run(): Promise<Measurement & { readonly facts?: Readonly<Record<string, number>> }>;
}

/** The medians of one contender. */
export interface Standing {
  readonly name: string;
  readonly runs: number;
  readonly wallSeconds: number;
  readonly wallRange: readonly [number, number];
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly facts: Readonly<Record<string, number>>;
  /** The median over rounds of (this contender's wall time / the first contender's in the same round). */
  readonly ratio: number;
}

/** Runs all contenders in turn, `rounds` times; the first one is what the ratios are of. */
export async function compare(
  contenders: readonly Contender[],
  options: { readonly rounds: number; readonly onRun?: (name: string, measurement: Measurement) => void },
): Promise<Standing[]> {
  const results = new Map<string, (Measurement & { facts?: Readonly<Record<string, number>> })[]>();
  for (let round = 0; round < options.rounds; round += 1) {
    for (const contender of contenders) {
      const measurement = await contender.run();
      results.set(contender.name, [...(results.get(contender.name) ?? []), measurement]);
      options.onRun?.(contender.name, measurement);
    }
  }
  const base = results.get(contenders[0]?.name ?? "") ?? [];
  return contenders.map(({ name }) => standingOf(name, results.get(name) ?? [], base));
}

function standingOf(
  name: string,
  runs: readonly (Measurement & { facts?: Readonly<Record<string, number>> })[],
  base: readonly Measurement[],
): Standing {
  const walls = runs.map(({ wallSeconds }) => wallSeconds);
  return {
    name,
    runs: runs.length,
    wallSeconds: median(walls),
    wallRange: [Math.min(...walls), Math.max(...walls)],
    cpuSeconds: median(runs.map(({ cpuSeconds }) => cpuSeconds)),
    peakBytes: Math.max(...runs.map(({ peakBytes }) => peakBytes)),
    facts: runs.at(-1)?.facts ?? {},
    ratio: median(walls.map((wall, at) => wall / (base[at]?.wallSeconds ?? Number.NaN))),
  };
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return (low + high) / 2;
}
