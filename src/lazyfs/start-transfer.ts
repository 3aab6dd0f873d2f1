/**
 * Starts requests, and has what they bring verified and written.
 *
 * @module
 */
import type { FetchContext, TransferAccount } from "./fetch-context.ts";
import type { FetchPriority } from "./fetch-report.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import { Flight } from "./flight.ts";
import type { MemberRun } from "./member-run.ts";
import { writeMembers } from "./member-writer.ts";
import { Transfer } from "./transfer.ts";

/** What to fetch with one request. */
export interface StartOptions {
  /** In the order of the blob; none of them on its way. */
  readonly runs: readonly MemberRun[];
  readonly priority: FetchPriority;
  /** How many of them, at the front, are waited for. */
  readonly needed?: number;
  readonly signal?: AbortSignal | undefined;
  readonly account?: TransferAccount | undefined;
}

/** A request under way. */
export interface StartedTransfer {
  readonly flights: readonly Flight[];
  /** Resolves when its bytes have arrived or will not; flights settle later. Never rejects. */
  readonly received: Promise<void>;
}

/** Buffer and batch of a read that waits: small, so that what is needed is not held up by what comes along. */
const DEMAND_SEGMENT = 1 << 20;
const DEMAND_JOB = 256 << 10;
const BULK_JOB = 1 << 20;

/** The memory unit of reads that wait. */
export const DEMAND_SLOT: number = DEMAND_SEGMENT;

/** Starts a request. */
export function startTransfer(
  context: FetchContext,
  fetched: FetchedLayer,
  options: StartOptions,
): StartedTransfer {
  const flights = options.runs.map((run) => new Flight(run));
  for (const flight of flights) fetched.flights.set(flight.run.first, flight);
  return carry(context, fetched, { ...options, flights });
}

function carry(
  context: FetchContext,
  fetched: FetchedLayer,
  options: Omit<StartOptions, "runs"> & { readonly flights: readonly Flight[] },
): StartedTransfer {
  const { flights, priority, needed = 0, signal, account } = options;
  const isDemand = priority === "demand";
  const early = priority !== "pull" && priority !== "background";
  const refetch = (flight: Flight): void => {
    fetched.forgetBlob();
    carry(context, fetched, { ...options, flights: [flight], needed: 1 });
  };
  const transfer = new Transfer(context, {
    fetched,
    flights,
    priority,
    needed,
    segmentSize: isDemand ? DEMAND_SEGMENT : context.tuning.rangeSize,
    jobSize: isDemand ? DEMAND_JOB : BULK_JOB,
    signal,
    account,
    sink: async (job, bytes) => await writeMembers(context, { fetched, job, early, refetch, ...bytes }),
  });
  for (const flight of flights) flight.carrier = transfer;
  const received = transfer.run();
  fetched.track(received);
  return { flights, received };
}
