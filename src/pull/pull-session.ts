/**
 * What all parts of one pull share.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { Image } from "../image/index.ts";
import type { PhaseClock } from "./phase-clock.ts";
import type { PullProgress } from "./pull-progress.ts";
import type { PulledLayer, PullEvent } from "./pull-report.ts";
import type { Omission } from "./omissions.ts";

/** How hard a pull works. Defaults fit a machine with two cores and a link of up to some gigabits. */
export interface PullTuning {
  /** Ranges that are received at once. */
  readonly connections: number;
  /** Worker threads that inflate, verify and write. */
  readonly workers: number;
  /** Compressed bytes in memory at most. */
  readonly bytesInFlight: number;
  /** No request asks for more bytes, unless one member has more. */
  readonly rangeSize: number;
  /** Unwanted bytes up to this number are fetched rather than asked around. */
  readonly gapSize: number;
}

/** The state of one pull. */
export interface PullSession {
  readonly image: Image;
  readonly tuning: PullTuning;
  readonly clock: Clock;
  readonly phases: PhaseClock;
  readonly progress: PullProgress;
  readonly emit: (event: PullEvent) => void;
  readonly collectGarbage: () => void;
  readonly signal: AbortSignal;
}

/** What a target reports. */
export interface TargetOutcome {
  readonly layers: readonly PulledLayer[];
  /** Bytes of files or blobs that were there already. */
  readonly reusedBytes: number;
  readonly files: number;
  readonly resumed: boolean;
  readonly omissions: readonly Omission[];
}
