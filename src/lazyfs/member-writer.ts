/**
 * From a job's bytes to chunks in the store, or in memory where the disk is full.
 *
 * @module
 */
import { EsgzError, isEsgzError } from "../errors/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import type { Flight } from "./flight.ts";
import type { TransferJob } from "./plan-members.ts";
import { type MemberFailure, packChunks, type UnwrittenChunk, type WriteResult } from "./write-job.ts";

/** A job with its bytes. */
export interface WriteRequest {
  readonly fetched: FetchedLayer;
  readonly job: TransferJob;
  readonly buffer: SharedArrayBuffer;
  /** Where the buffer begins in the blob. */
  readonly offset: number;
  readonly urgent: boolean;
  /** Whether somebody waits for these bytes or they come early. */
  readonly early: boolean;
  /** Fetches a member once more; its flight goes on. */
  readonly refetch: (flight: Flight) => void;
}

interface Wanted {
  readonly flight: Flight;
  readonly chunks: readonly number[];
}

/** Has workers inflate, verify and write a job, and settles its flights. Never rejects. */
export async function writeMembers(context: FetchContext, request: WriteRequest): Promise<void> {
  const { fetched, job } = request;
  const wanted = job.flights.map((flight) => ({ flight, chunks: missingChunksOf(fetched, flight) }));
  try {
    const open = wanted.filter(({ chunks }) => chunks.length > 0);
    const result = open.length === 0 ? NOTHING_DONE : await runJob(context, request, open);
    settleAll(context, request, { wanted: open, result });
    for (const { flight, chunks } of wanted) if (chunks.length === 0) settle(fetched, flight);
  } catch (error) {
    for (const { flight } of wanted) {
      fetched.flights.delete(flight.run.first);
      flight.fail(error);
    }
  }
}

const NOTHING_DONE: WriteResult = { failures: [], unwritten: [], full: false };

function missingChunksOf({ layer }: FetchedLayer, { run }: Flight): number[] {
  const chunks: number[] = [];
  for (let chunk = run.first; chunk < run.end; chunk += 1) if (!layer.hasChunk(chunk)) chunks.push(chunk);
  return chunks;
}

async function runJob(
  context: FetchContext,
  request: WriteRequest,
  wanted: readonly Wanted[],
): Promise<WriteResult> {
  const { fetched, buffer, offset, urgent } = request;
  const { layer } = fetched;
  const chunks = wanted.flatMap((member) => member.chunks);
  const { bytes, ...packed } = packChunks(layer, chunks);
  using room = fetched.mayWrite ? await beginWriting(fetched, bytes) : undefined;
  const write = room !== undefined;
  const result = await context.pool.run(
    {
      dataPath: layer.dataPath,
      buffer,
      compression: layer.source.compression,
      write,
      keep: wanted.some(({ flight }) => flight.demandWaiters > 0),
      members: wanted.map(({ flight: { run }, chunks: own }) => ({
        offset: run.blobOffset - offset,
        size: run.size,
        need: run.need,
        chunks: own.length,
      })),
      ...packed,
    },
    { urgent },
  );
  if (result.full) fetched.noteFull();
  else if (write) fetched.noteWritten();
  return result;
}

/** Makes room; undefined if there is none. */
async function beginWriting(fetched: FetchedLayer, bytes: number): Promise<Disposable | undefined> {
  try {
    return await fetched.layer.beginWriting(bytes);
  } catch (error) {
    if (!isEsgzError(error, "NO_SPACE")) throw error;
    fetched.noteFull(error);
    return undefined;
  }
}

function settleAll(
  context: FetchContext,
  request: WriteRequest,
  { wanted, result }: { readonly wanted: readonly Wanted[]; readonly result: WriteResult },
): void {
  const { fetched } = request;
  const failures = new Map(result.failures.map((failure) => [failure.member, failure]));
  for (const [index, { flight, chunks }] of wanted.entries()) {
    const failure = failures.get(index);
    if (failure !== undefined) {
      failMember(context, request, { flight, failure });
      continue;
    }
    const unwritten = result.unwritten.filter(({ member }) => member === index);
    const kept = new Set(unwritten.map(({ chunk }) => chunk));
    for (const chunk of chunks) {
      if (kept.has(chunk)) continue;
      fetched.layer.acceptChunk(chunk);
      if (request.early && flight.demandWaiters === 0) fetched.noteEarly(chunk);
    }
    if (unwritten.length === 0) settle(fetched, flight);
    else keepMember(context, { fetched, flight, unwritten });
  }
}

function settle(fetched: FetchedLayer, flight: Flight): void {
  fetched.flights.delete(flight.run.first);
  flight.settle("stored");
}

function keepMember(
  context: FetchContext,
  options: {
    readonly fetched: FetchedLayer;
    readonly flight: Flight;
    readonly unwritten: readonly UnwrittenChunk[];
  },
): void {
  const { fetched, flight, unwritten } = options;
  fetched.flights.delete(flight.run.first);
  const chunks = new Map<number, Uint8Array>();
  for (const { chunk, bytes } of unwritten) if (bytes !== undefined) chunks.set(chunk, bytes);
  if (chunks.size < unwritten.length) {
    flight.fail(fetched.fullReason ?? diskFull(fetched));
    return;
  }
  for (const [chunk, bytes] of chunks) context.memory.put(fetched.layer, chunk, bytes);
  flight.chunks = chunks;
  flight.settle("memory");
}

function diskFull({ layer }: FetchedLayer): EsgzError {
  const message = `Cannot store chunks of "${layer.digest}": expected room on the disk, got none`;
  return new EsgzError("NO_SPACE", message);
}

/** Wrong bytes are thrown away and fetched once more, past everything that might have kept them. */
function failMember(
  context: FetchContext,
  request: WriteRequest,
  { flight, failure }: { readonly flight: Flight; readonly failure: MemberFailure },
): void {
  const { fetched } = request;
  const { layer } = fetched;
  const { chunk, message } = failure;
  context.counters.verificationFailures += 1;
  context.emit({
    kind: "verification-failed",
    layer: layer.digest,
    chunk,
    place: layer.chunk(chunk).place,
    fromDisk: false,
    message,
  });
  if (!flight.secondTry) {
    flight.secondTry = true;
    request.refetch(flight);
    return;
  }
  fetched.flights.delete(flight.run.first);
  flight.fail(
    new EsgzError(
      "DIGEST_MISMATCH",
      `Cannot fetch chunk ${chunk} of "${layer.digest}": expected bytes that match its digest, got others twice (${message})`,
      { details: { chunk, cause: failure.code } },
    ),
  );
}
