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
import { EsgzError } from "../errors/index.ts";
import { algorithmOf, type Digest, digestMismatch } from "../oci/index.ts";
import { type RangeRequest, receiveRange, streamRange } from "./blob-range.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RegistryHost } from "./registry-host.ts";
import { Transfer } from "./transfer.ts";

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
    const { signal } = options;
    const hash = this.#start(range, signal);
    const bytes = new Uint8Array(range.size);
    const transfer = new Transfer(this.#place.host, signal);
    let at = 0;
    while (at < range.size) {
      try {
        const rest = { offset: range.offset + at, size: range.size - at };
        await receiveRange(this.#request(transfer.endpoint, rest, signal), (chunk) => {
          bytes.set(chunk, at);
          hash?.update(chunk);
          at += chunk.length;
          transfer.progress(chunk.length);
        });
        if (at < range.size) throw this.#brokeOff(range, at);
      } catch (error) {
        await transfer.failed(error);
      }
    }
    this.#verify(hash);
    return bytes;
  }

  async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    const { signal } = options;
    const hash = this.#start(range, signal);
    const transfer = new Transfer(this.#place.host, signal);
    let at = 0;
    while (at < range.size) {
      try {
        const rest = { offset: range.offset + at, size: range.size - at };
        for await (const chunk of streamRange(this.#request(transfer.endpoint, rest, signal))) {
          hash?.update(chunk);
          at += chunk.length;
          transfer.progress(chunk.length);
          yield chunk;
        }
        if (at < range.size) throw this.#brokeOff(range, at);
      } catch (error) {
        await transfer.failed(error);
      }
    }
    this.#verify(hash);
  }

  /** Checks the range; the hash to feed where it is the whole blob. */
  #start(range: ByteRange, signal: AbortSignal | undefined): Hash | undefined {
    signal?.throwIfAborted();
    assertRangeInside(range, this.size);
    return range.size === this.size ? createHash(algorithmOf(this.digest)) : undefined;
  }

  #request(endpoint: Endpoint, range: ByteRange, signal: AbortSignal | undefined): RangeRequest {
    const { host, repository } = this.#place;
    const { digest, size } = this;
    return { endpoint, host, repository, digest, size, range, redirects: this.#redirects, signal };
  }

  #brokeOff(range: ByteRange, received: number): EsgzError {
    return new EsgzError(
      "NETWORK_FAILED",
      `Cannot read blob "${this.digest}": expected ${range.size} bytes, got ${received}`,
    );
  }

  #verify(hash: Hash | undefined): void {
    if (hash === undefined) return;
    const found = `${algorithmOf(this.digest)}:${hash.digest("hex")}`;
    if (found !== this.digest) throw digestMismatch(`blob of ${this.#place.repository}`, this.digest, found);
  }
}
