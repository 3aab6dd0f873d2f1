/**
 * A blob in a registry, read by absolute ranges.
 *
 * Each request asks for one range. What comes back is checked before a byte is passed on; what breaks off is resumed where
 * it stopped, at the same endpoint, then at the next one.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { assertRangeInside, type BlobSource, type ByteRange, type ReadOptions } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { algorithmOf, type Digest, digestMismatch } from "../oci/index.ts";
import { openRange } from "./blob-range.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RegistryHost } from "./registry-host.ts";

/** Which blob. */
export interface BlobTarget {
  readonly digest: Digest;
  /** In bytes, as the descriptor says. */
  readonly size: number;
}

/** Where a blob lies. */
export interface BlobPlace {
  readonly host: RegistryHost;
  readonly repository: string;
}

/** A {@link BlobSource} over HTTP. Reading the whole blob verifies its digest before the stream ends normally. */
export class RemoteBlob implements BlobSource {
  readonly digest: Digest;
  readonly size: number;
  readonly #place: BlobPlace;
  /** Where an endpoint sent us: valid until the target says otherwise. */
  readonly #redirects = new Map<Endpoint, URL>();

  constructor(place: BlobPlace, target: BlobTarget) {
    this.#place = place;
    this.digest = target.digest;
    this.size = target.size;
  }

  async read(range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    assertRangeInside(range, this.size);
    const bytes = new Uint8Array(range.size);
    let at = 0;
    for await (const chunk of this.stream(range, options)) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }

  async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    options.signal?.throwIfAborted();
    assertRangeInside(range, this.size);
    const whole = range.size === this.size;
    const hash = whole ? createHash(algorithmOf(this.digest)) : undefined;
    for await (const chunk of this.#resumed(range, options.signal)) {
      hash?.update(chunk);
      yield chunk;
    }
    if (hash !== undefined) this.#verify(hash);
  }

  /** The range from the first endpoint that has it, through failures. */
  async *#resumed(
    range: ByteRange,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { host } = this.#place;
    const end = range.offset + range.size;
    let position = range.offset;
    for (const endpoint of range.size === 0 ? [] : host.readOrder()) {
      const budget = host.budgetFor(endpoint);
      while (position < end) {
        try {
          for await (const chunk of this.#request(
            endpoint,
            { offset: position, size: end - position },
            signal,
          )) {
            position += chunk.length;
            budget.progress(chunk.length);
            yield chunk;
          }
          if (position < end) throw this.#brokeOff(range, position);
        } catch (error) {
          signal?.throwIfAborted();
          const failure = await budget.pauseAfter(error, signal).then(() => undefined, asFailure);
          if (failure === undefined) continue;
          signal?.throwIfAborted();
          if (endpoint === host.upstream || !isEsgzError(failure.error)) throw failure.error;
          host.noteFailure(endpoint, failure.error);
          break;
        }
      }
      if (position >= end) return;
    }
  }

  #request(
    endpoint: Endpoint,
    range: ByteRange,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { host, repository } = this.#place;
    return openRange({
      endpoint,
      host,
      repository,
      digest: this.digest,
      size: this.size,
      range,
      redirects: this.#redirects,
      signal,
    });
  }

  #brokeOff(range: ByteRange, position: number): EsgzError {
    return new EsgzError(
      "NETWORK_FAILED",
      `Cannot read blob "${this.digest}": expected ${range.size} bytes, got ${position - range.offset}`,
    );
  }

  #verify(hash: Hash): void {
    const found = `${algorithmOf(this.digest)}:${hash.digest("hex")}`;
    if (found !== this.digest) throw digestMismatch(`blob of ${this.#place.repository}`, this.digest, found);
  }
}

function asFailure(error: unknown): { readonly error: unknown } {
  return { error };
}
