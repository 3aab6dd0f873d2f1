/**
 * From the bytes of a transfer, as they arrive, to jobs.
 *
 * ```text
 * pieces ── take() ──> segment's buffer ── job complete ──> sink ── flights settle
 * ```
 *
 * A buffer is free when its segment has arrived and no job uses it any more.
 *
 * @module
 */
import type { BufferLease } from "../blob/index.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import type { Flight } from "./flight.ts";
import type { TransferJob, TransferSegment } from "./plan-members.ts";

/** Takes a job whose bytes have arrived; settles its flights and never rejects. The bytes are used until it resolves. */
export type JobSink = (
  job: TransferJob,
  bytes: { readonly buffer: SharedArrayBuffer; readonly offset: number; readonly urgent: boolean },
) => Promise<void>;

/** What an assembly needs of its transfer. */
export interface JobAssemblyOptions {
  readonly fetched: FetchedLayer;
  readonly sink: JobSink;
  /** Waits for memory for a segment. */
  readonly lease: (size: number) => Promise<BufferLease>;
  /** Whether a read waits for the transfer now. */
  readonly isUrgent: () => boolean;
}

/** The segments of a transfer, how far they have arrived, and which jobs were handed over. */
export class JobAssembly {
  readonly #segments: readonly TransferSegment[];
  readonly #options: JobAssemblyOptions;
  /** Jobs that were handed over, or given back. */
  readonly #dispatched = new Set<TransferJob>();
  #at: number;
  #end: number;
  #segment = 0;
  #open: { readonly lease: BufferLease; jobs: number; complete: boolean } | undefined;

  constructor(segments: readonly TransferSegment[], options: JobAssemblyOptions) {
    this.#segments = segments;
    this.#options = options;
    this.#at = segments[0]?.offset ?? 0;
    this.#end = segments.at(-1)?.end ?? 0;
  }

  /** The blob offset of the next byte. */
  get at(): number {
    return this.#at;
  }

  /** The blob offset behind the last byte that is wanted; it may become less. */
  get end(): number {
    return this.#end;
  }

  /** Puts the next bytes where they belong, and hands over what is complete. The piece may be reused afterwards. */
  async take(piece: Uint8Array): Promise<void> {
    for (let used = 0; used < piece.length && this.#at < this.#end;) {
      const segment = this.#segments[this.#segment];
      if (segment === undefined) return;
      const skip = Math.min(piece.length - used, Math.max(0, segment.offset - this.#at));
      used += skip;
      this.#at += skip;
      if (used === piece.length) return;
      const size = segment.end - segment.offset;
      this.#open ??= { lease: await this.#options.lease(size), jobs: 0, complete: false };
      const taken = Math.min(piece.length - used, Math.min(segment.end, this.#end) - this.#at);
      const bytes = new Uint8Array(this.#open.lease.buffer);
      bytes.set(piece.subarray(used, used + taken), this.#at - segment.offset);
      used += taken;
      this.#at += taken;
      this.#dispatch(segment);
    }
  }

  /**
   * Gives a member, and what comes behind it, back to whoever wants it sooner. False where that makes no sense: its
   * bytes are arriving, or nothing is in front of it.
   */
  cut(flight: Flight): boolean {
    const jobs = this.#segments.flatMap((segment) => segment.jobs);
    const at = jobs.findIndex(({ flights }) => flights.includes(flight));
    const from = jobs[at];
    if (from === undefined || at === 0 || from.offset <= this.#at) return false;
    this.#end = from.offset;
    for (const job of jobs.slice(at)) this.#release(job, (other) => other.settle("released"));
    return true;
  }

  /** Ends what was not handed over. */
  giveUp(end: (flight: Flight) => void): void {
    for (const { jobs } of this.#segments) for (const job of jobs) this.#release(job, end);
    this.#closeSegment();
  }

  #dispatch(segment: TransferSegment): void {
    const open = this.#open;
    if (open === undefined) return;
    for (const job of segment.jobs) {
      if (job.end > this.#at || this.#dispatched.has(job)) continue;
      this.#dispatched.add(job);
      open.jobs += 1;
      const { fetched, sink, isUrgent } = this.#options;
      const bytes = { buffer: open.lease.buffer, offset: segment.offset, urgent: isUrgent() };
      fetched.track(
        sink(job, bytes).finally(() => {
          open.jobs -= 1;
          if (open.complete && open.jobs === 0) open.lease.release();
        }),
      );
    }
    if (this.#at < Math.min(segment.end, this.#end)) return;
    this.#closeSegment();
  }

  #closeSegment(): void {
    const open = this.#open;
    this.#open = undefined;
    this.#segment += 1;
    if (open === undefined) return;
    open.complete = true;
    if (open.jobs === 0) open.lease.release();
  }

  #release(job: TransferJob, end: (flight: Flight) => void): void {
    if (this.#dispatched.has(job)) return;
    this.#dispatched.add(job);
    for (const flight of job.flights) {
      this.#options.fetched.flights.delete(flight.run.first);
      end(flight);
    }
  }
}
