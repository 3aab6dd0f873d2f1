/**
 * Which members travel together: pure arithmetic over the chunk table.
 *
 * ```text
 * chunks     0  1  2  3  4  5  6  7        missing: 0 1 2 3 4 . . 7
 * ranges    [m0 m1 (gap) m2 m3 m4] [m7]    a small gap that is no member is read through: tar headers
 * jobs      [m0][m1 ......... m4]          what is waited for goes to a worker alone
 * segments  [ one buffer     ]             at most so many bytes at once in memory
 * ```
 *
 * @module
 */
import type { FetchedLayer } from "./fetched-layer.ts";
import type { Flight } from "./flight.ts";
import type { MemberRun } from "./member-run.ts";

/** Bounds of a plan. */
export interface PlanOptions {
  /** Chunks from here on are not looked at. */
  readonly endChunk: number;
  /** Bytes of the blob, unless one member has more. */
  readonly maxBytes: number;
  /** Bytes that nobody wants are read through up to this number. */
  readonly gapSize: number;
}

/** Members that one request brings. */
export interface MemberPlan {
  /** In the order of the blob. */
  readonly runs: readonly MemberRun[];
  /** The first chunk that was not looked at. */
  readonly nextChunk: number;
}

/**
 * Plans one request: members from a chunk on that are neither there nor on their way. It ends in front of one that is: no
 * byte of the blob travels twice.
 */
export function planMembers(fetched: FetchedLayer, fromChunk: number, options: PlanOptions): MemberPlan {
  const runs: MemberRun[] = [];
  let start = 0;
  let end = 0;
  let chunk = fromChunk;
  while (chunk < options.endChunk) {
    const run = fetched.layer.hasChunk(chunk) ? undefined : fetched.runs.at(chunk);
    if (run === undefined || fetched.flights.has(run.first)) {
      if (runs.length > 0) break;
      chunk = run?.end ?? chunk + 1;
      continue;
    }
    const gap = run.blobOffset - end;
    const fits = gap >= 0 && gap <= options.gapSize && run.blobOffset + run.size - start <= options.maxBytes;
    if (runs.length > 0 && !fits) break;
    if (runs.length === 0) start = run.blobOffset;
    runs.push(run);
    end = run.blobOffset + run.size;
    chunk = run.end;
  }
  return { runs, nextChunk: chunk };
}

/** Flights that go to a worker together. */
export interface TransferJob {
  readonly flights: readonly Flight[];
  readonly offset: number;
  /** It can be done once the blob is there up to this offset. */
  readonly end: number;
}

/** Jobs that share a buffer. */
export interface TransferSegment {
  readonly offset: number;
  readonly end: number;
  readonly jobs: readonly TransferJob[];
}

/** How a transfer is cut up. */
export interface SegmentOptions {
  /** How many flights at the front are waited for. */
  readonly needed: number;
  readonly segmentSize: number;
  readonly jobSize: number;
}

/** Chunks that go to a worker at once, roughly. */
const JOB_CHUNKS = 512;

/** Cuts a transfer into buffers and jobs. Flights must be in the order of the blob. */
export function segmentsOf(flights: readonly Flight[], options: SegmentOptions): TransferSegment[] {
  const segments: TransferSegment[] = [];
  let jobs: TransferJob[] = [];
  const close = (): void => {
    const [first, last] = [jobs[0], jobs.at(-1)];
    if (first !== undefined && last !== undefined) {
      segments.push({ offset: first.offset, end: last.end, jobs });
    }
    jobs = [];
  };
  for (const job of jobsOf(flights, options)) {
    const first = jobs[0];
    if (first !== undefined && job.end - first.offset > options.segmentSize) close();
    jobs.push(job);
  }
  close();
  return segments;
}

function jobsOf(flights: readonly Flight[], { needed, jobSize }: SegmentOptions): TransferJob[] {
  const jobs: TransferJob[] = [];
  let open: Flight[] = [];
  let chunks = 0;
  for (const [at, flight] of flights.entries()) {
    open.push(flight);
    chunks += flight.run.end - flight.run.first;
    const offset = open[0]?.run.blobOffset ?? 0;
    const end = flight.run.blobOffset + flight.run.size;
    const isFull = end - offset >= jobSize || chunks >= JOB_CHUNKS;
    if (!isFull && at !== needed - 1 && at !== flights.length - 1) continue;
    jobs.push({ flights: open, offset, end });
    open = [];
    chunks = 0;
  }
  return jobs;
}
