/**
 * One byte range of a blob into memory, over a second connection if the first one turns out to be slow.
 *
 * @module
 */
import type { BlobSource } from "./blob-source.ts";
import { EsgzError } from "../errors/index.ts";
import type { FlowMonitor } from "./flow-monitor.ts";

/** What to receive, and where to. */
export interface ReceiveRangeOptions {
  /** The first byte in the blob. */
  readonly offset: number;
  /** Memory for the whole range. Not to be touched before the promise settles. */
  readonly into: Uint8Array;
  readonly monitor: FlowMonitor;
  /** Called with the number of bytes that are there without a gap, whenever it grows. */
  readonly onReceived: (size: number) => void;
  /** Called when a second request is made. */
  readonly onHedge: () => void;
  readonly signal: AbortSignal;
}

/**
 * Receives a range. Rejects only if every connection that tried has failed; none outlives the call.
 *
 * @throws {EsgzError} `SIZE_MISMATCH`; codes of the medium.
 */
export async function receiveRange(blob: BlobSource, options: ReceiveRangeOptions): Promise<void> {
  const done = new AbortController();
  const transfer = { blob, options, signal: AbortSignal.any([options.signal, done.signal]), received: 0 };
  const outcome = Promise.withResolvers<undefined>();
  const attempts: Promise<void>[] = [];
  let running = 0;
  const start = (): void => {
    running += 1;
    const attempt = receiveRest(transfer, flow).then(
      () => outcome.resolve(undefined),
      (error: unknown) => {
        running -= 1;
        if (running === 0) outcome.reject(error);
      },
    );
    attempts.push(attempt);
  };
  const flow = options.monitor.begin(() => {
    options.onHedge();
    start();
  });
  try {
    start();
    await outcome.promise;
  } finally {
    flow.end();
    done.abort();
    await Promise.allSettled(attempts);
  }
}

interface Transfer {
  readonly blob: BlobSource;
  readonly options: ReceiveRangeOptions;
  readonly signal: AbortSignal;
  received: number;
}

/** Receives what is missing at the start of the call. Two of these write the same bytes to the same places. */
async function receiveRest(transfer: Transfer, flow: { received: number }): Promise<void> {
  const { blob, options, signal } = transfer;
  const { into } = options;
  let at = transfer.received;
  const range = { offset: options.offset + at, size: into.length - at };
  // To the natural end, even when all bytes are there: a connection that is left early cannot be used again.
  for await (const piece of blob.stream(range, { signal })) {
    if (at + piece.length > into.length) break;
    into.set(piece, at);
    at += piece.length;
    if (at <= transfer.received) continue;
    flow.received += at - transfer.received;
    transfer.received = at;
    options.onReceived(at);
  }
  if (at !== into.length) {
    throw new EsgzError(
      "SIZE_MISMATCH",
      `Cannot fetch range at ${options.offset}: expected ${into.length} bytes, got ${at}`,
    );
  }
}
