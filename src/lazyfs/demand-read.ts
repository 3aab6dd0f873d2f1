/**
 * A read that waits for its bytes.
 *
 * @module
 */
import { untilAborted } from "../async/index.ts";
import type { ByteRange } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import type { Flight } from "./flight.ts";
import { planMembers } from "./plan-members.ts";
import type { NotedMiss } from "./read-ahead.ts";
import type { WaitingRange } from "./range-fetcher.ts";
import { fetchAhead, fetchChunksAhead } from "./fetch-ahead.ts";
import { startTransfer } from "./start-transfer.ts";
import { writeRemembered } from "./write-remembered.ts";

/** Requests for what lies behind holes that were filled before: where those are many, each is small. */
const MOST_BEHIND = 4;

/** Verified chunks that are not on the disk. */
export type ChunksInMemory = ReadonlyMap<number, Uint8Array>;

/**
 * Brings all chunks of a range for a read that waits, which less urgent work steps aside for. Returns those that could not be
 * written.
 *
 * @throws {EsgzError} `TIMED_OUT` after `demandDeadlineMs`; `DIGEST_MISMATCH`, `NOT_SUPPORTED`; codes of the medium; the
 * signal's reason
 */
export async function waitForRange(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly range: ByteRange; readonly signal: AbortSignal },
): Promise<ChunksInMemory> {
  const { range } = options;
  const { clock, gate, counters, tuning } = context;
  const deadline = new AbortController();
  const done = new AbortController();
  const startMs = clock.nowMs();
  const wait: WaitingRange = { ...range, sinceMs: startMs };
  gate.enter();
  fetched.waiting.add(wait);
  counters.stalls += 1;
  clock.sleep(tuning.demandDeadlineMs, { signal: done.signal }).then(
    () => deadline.abort(deadlinePassed(fetched, range, tuning.demandDeadlineMs)),
    () => undefined,
  );
  try {
    const signal = AbortSignal.any([options.signal, deadline.signal]);
    return await bringRange(context, fetched, { range, signal });
  } finally {
    done.abort();
    counters.stallMs += clock.nowMs() - startMs;
    fetched.waiting.delete(wait);
    gate.leave();
  }
}

/** Brings all chunks of a range, at the highest priority: joins what is on its way, asks for the rest. */
async function bringRange(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly range: ByteRange; readonly signal: AbortSignal },
): Promise<ChunksInMemory> {
  const { range, signal } = options;
  const { layer } = fetched;
  const memory = new Map<number, Uint8Array>();
  const chunks = layer.chunksIn(range);
  await writeRemembered(context, fetched, await layer.missingChunks(chunks, { signal }));
  const ahead = fetched.ahead.noteMiss(range.offset, range.size);
  for (let first = true; ; first = false) {
    const missing = (await layer.missingChunks(chunks, { signal })).filter((chunk) => {
      const bytes = memory.get(chunk) ?? context.memory.get(layer, chunk);
      if (bytes !== undefined) memory.set(chunk, bytes);
      return bytes === undefined;
    });
    if (missing.length === 0) return memory;
    // Neighbours are of use only where they can be kept, and only if it is known which of them are there.
    const along = fetched.mayWrite && layer.unverifiedCount === 0 ? ahead.takeAlong.size : 0;
    const endOffset = Math.min(layer.dataSize, range.offset + range.size + along);
    const end = layer.chunksIn({ offset: range.offset, size: endOffset - range.offset }).end;
    const flights = flightsFor(context, fetched, { missing, end, along });
    const waits = flights.map(async (flight) => await waitFor(flight, { memory, signal }));
    // What this read does not need must not make it fail.
    if (first) fetched.track(fetchBeside(context, fetched, { ahead, along, chunk: chunks.first }));
    await Promise.all(waits);
  }
}

/** Has come what the same reader wants next, as far as can be told. */
async function fetchBeside(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly ahead: NotedMiss; readonly along: number; readonly chunk: number },
): Promise<void> {
  const { ahead, along, chunk } = options;
  // What a request takes along ends in front of what is there already: what lies behind that is asked for by others.
  const { offset } = ahead.takeAlong;
  fetchAhead(context, fetched, { offset, size: along, within: true, requests: MOST_BEHIND });
  if (ahead.beside !== undefined) fetchAhead(context, fetched, ahead.beside);
  if (!ahead.isNew) return;
  for (const chunks of fetched.scattered.noteMiss(chunk, fetched.ahead.most))
    fetchChunksAhead(context, fetched, { chunks });
}

/** The flights that bring some chunks: those under way, and new ones. */
function flightsFor(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly missing: readonly number[]; readonly end: number; readonly along: number },
): Flight[] {
  const { missing, end, along } = options;
  const flights = new Set<Flight>();
  const last = missing.at(-1) ?? 0;
  for (const chunk of missing) {
    const { first } = fetched.runs.at(chunk);
    const known = fetched.flights.get(first);
    if (known === undefined || !join(context, known))
      startDemand(context, fetched, { chunk: first, last, end, along });
    const flight = fetched.flights.get(first);
    if (flight !== undefined) flights.add(flight);
  }
  return [...flights];
}

/** Whether a flight that is under way will do; it is made urgent then. */
function join({ tuning }: FetchContext, flight: Flight): boolean {
  const { carrier } = flight;
  if (carrier === undefined) return true;
  if (!carrier.isUrgent && (carrier.etaMs(flight) ?? 0) > tuning.joinMs && carrier.cut(flight)) return false;
  carrier.raise();
  return true;
}

function startDemand(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly chunk: number; readonly last: number; readonly end: number; readonly along: number },
): void {
  const { chunk, last, end, along } = options;
  const { rangeSize, gapSize } = context.tuning;
  const { runs } = planMembers(fetched, chunk, { endChunk: end, maxBytes: rangeSize, gapSize });
  const needed = runs.filter(({ first }) => first <= last).length;
  const neededRun = runs[needed - 1];
  const neededEnd = neededRun === undefined ? 0 : neededRun.blobOffset + neededRun.size;
  // A large neighbour does not come along: on a slow link the next read would wait for it.
  const taken = runs.filter(
    ({ blobOffset, size }, at) => at < needed || blobOffset + size <= neededEnd + along,
  );
  startTransfer(context, fetched, { runs: taken, needed, priority: "demand" });
}

/** Waits for a flight. One that was given back, or could not be kept, is asked for again by the caller. */
async function waitFor(
  flight: Flight,
  { memory, signal }: { readonly memory: Map<number, Uint8Array>; readonly signal: AbortSignal },
): Promise<void> {
  flight.demandWaiters += 1;
  const carrier = flight.carrier;
  try {
    const outcome = await untilAborted(flight.settled, signal);
    if (outcome === "memory") for (const [chunk, bytes] of flight.chunks) memory.set(chunk, bytes);
  } catch (error) {
    signal.throwIfAborted();
    // What less urgent work gave up on, this read still wants.
    const isOwn = carrier?.priority === "demand";
    if (isEsgzError(error, "NO_SPACE") || (!isOwn && !isEsgzError(error, "DIGEST_MISMATCH"))) return;
    throw error;
  } finally {
    flight.demandWaiters -= 1;
  }
}

function deadlinePassed(fetched: FetchedLayer, range: ByteRange, deadlineMs: number): EsgzError {
  return new EsgzError(
    "TIMED_OUT",
    `Cannot read ${range.size} bytes at ${range.offset} of "${fetched.layer.digest}": expected them within ${deadlineMs} ms, got none`,
    { details: { deadlineMs } },
  );
}
