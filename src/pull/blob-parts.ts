/**
 * A blob in parts of equal size, several in flight, its digest computed over all of them in order.
 *
 * @module
 */
import { mapConcurrent, untilAborted } from "../async/index.ts";
import { type BlobSource, type BufferBudget, type FlowMonitor, receiveRange } from "../blob/index.ts";
import { type Descriptor, digestMismatch } from "../oci/index.ts";
import { OrderedHash } from "./ordered-hash.ts";
import { observedBlob, type WireObserver } from "./retained-blob.ts";

/** A part of a blob. */
export interface BlobPart {
  readonly offset: number;
  readonly size: number;
}

/** How the parts of a blob travel. */
export interface BlobPartsOptions {
  readonly partSize: number;
  readonly connections: number;
  readonly budget: BufferBudget;
  readonly monitor: FlowMonitor;
  readonly observer: WireObserver;
  /** Fills a part from somewhere nearer, if it is there; false otherwise. */
  readonly reuse?: ((part: BlobPart, into: Uint8Array) => Promise<boolean>) | undefined;
  /** Takes a part that came over the wire. Its bytes are not yet verified, and are gone when the promise settles. */
  readonly store: (part: BlobPart, bytes: Uint8Array) => Promise<void>;
  readonly onReceived: (bytes: number) => void;
  readonly onHedge: () => void;
  readonly signal: AbortSignal;
}

/**
 * Moves a whole blob through memory, part by part.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, after everything has been stored; codes of the medium.
 */
export async function moveBlobParts(
  blob: BlobSource,
  descriptor: Pick<Descriptor, "digest" | "size">,
  options: BlobPartsOptions,
): Promise<void> {
  const hash = new OrderedHash(descriptor.digest);
  const observed = observedBlob(blob, options.observer);
  await mapConcurrent(
    partsOf(descriptor.size, options.partSize),
    async (part, { signal }) => await movePart(part, { ...options, blob: observed, hash, signal }),
    { concurrency: options.connections, signal: options.signal },
  );
  const found = hash.digest();
  if (found !== descriptor.digest) throw digestMismatch("blob", descriptor.digest, found);
}

/** The parts of a blob, in order. */
export function* partsOf(size: number, partSize: number): Generator<BlobPart, void, undefined> {
  for (let offset = 0; offset < size; offset += partSize) {
    yield { offset, size: Math.min(partSize, size - offset) };
  }
}

async function movePart(
  part: BlobPart,
  options: BlobPartsOptions & { readonly blob: BlobSource; readonly hash: OrderedHash },
): Promise<void> {
  const { blob, hash, budget, signal } = options;
  const lease = await budget.acquire(part.size, { signal });
  try {
    const bytes = new Uint8Array(lease.buffer, 0, part.size);
    const hashed = hash.open(part.offset, bytes);
    if ((await options.reuse?.(part, bytes)) === true) hashed.advance(part.size);
    else {
      await receiveRange(blob, {
        offset: part.offset,
        into: bytes,
        monitor: options.monitor,
        signal,
        onReceived: receivedCounter(options.onReceived, (size) => hashed.advance(size)),
        onHedge: options.onHedge,
      });
      await options.store(part, bytes);
    }
    // If an earlier part fails, this one's turn never comes.
    await untilAborted(hashed.hashed, signal);
  } finally {
    lease.release();
  }
}

/** Turns the length of what is there into the length of what was added. */
function receivedCounter(
  onBytes: (bytes: number) => void,
  onSize: (size: number) => void,
): (size: number) => void {
  let before = 0;
  return (size) => {
    onBytes(size - before);
    before = size;
    onSize(size);
  };
}
