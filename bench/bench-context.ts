/**
 * What every benchmark gets.
 *
 * @module
 */
import type { CompareOptions } from "./measure/index.ts";

/** How to measure, and whom to tell. */
export interface BenchContext {
  /** Where inputs are kept between runs. */
  readonly cache: string;
  readonly rounds: number;
  /** Tells people what goes on. */
  readonly say: (text: string) => void;
  /** To compare in so many rounds and tell of every run. */
  readonly compareOptions: (title: string) => CompareOptions;
}
