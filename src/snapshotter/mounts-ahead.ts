/**
 * Layers that will be asked for next, mounted before they are.
 *
 * A client asks for the layers of an image one after the other, and tells with each which are above it. While it thinks and
 * asks for one, the others are mounted; whoever comes for them finds them there.
 *
 * ```text
 * Prepare 1 ── mounted ── tells of 2, 3, 4      ┌ 2 ─┬ Prepare 2: taken
 *                                   mounting ───┼ 3 ─┼ Prepare 3: taken
 *                                               └ 4 ─┴ nobody comes: taken away
 * ```
 *
 * Nothing is written down of them: a directory that no snapshot has is removed at the next start.
 *
 * @module
 */
import { type Clock, Semaphore } from "../async/index.ts";
import type { Digest } from "../oci/index.ts";
import type { RemoteOrigin } from "./snapshot.ts";

/** With what they are made. */
export interface MountsAheadOptions {
  readonly clock: Clock;
  /** Makes a layer ready; undefined if it cannot be had. It may take long: nobody waits for it at the end. */
  readonly prepare: (origin: RemoteOrigin) => Promise<RemoteOrigin | undefined>;
  /** Mounts it; the id of its directory. */
  readonly mount: (origin: RemoteOrigin) => Promise<number>;
  /** Takes away what came to nothing. */
  readonly discard: (id: number) => void;
}

/** More would take the processor from the call that is waited for. */
const AT_ONCE = 4;
/** When no layer was asked for during this time, those that wait are taken away: one is being unpacked, or nobody wants them. */
const KEPT_MS = 5000;
/** A label holds fewer; several images may be pulled at once. */
const MOST = 256;

/** Mounts of layers, by digest, until they are taken or given up. */
export class MountsAhead {
  readonly #options: MountsAheadOptions;
  readonly #mounts = new Map<Digest, Promise<number | undefined>>();
  readonly #room = new Semaphore(AT_ONCE);
  readonly #mounting = new Set<Promise<number>>();
  readonly #ending = new AbortController();
  /** Counts requests: layers are given up when none came for a while. */
  #requests = 0;
  #isWatched = false;

  constructor(options: MountsAheadOptions) {
    this.#options = options;
  }

  /** Begins to mount other layers of the image that a layer is of. */
  expect(origin: RemoteOrigin, others: readonly Digest[]): void {
    this.#requests += 1;
    const { manifest, reference, skipVerify } = origin;
    for (const digest of others) {
      if (this.#mounts.size >= MOST || this.#ending.signal.aborted) break;
      if (this.#mounts.has(digest)) continue;
      const other = { digest, reference, skipVerify, ...(manifest === undefined ? {} : { manifest }) };
      this.#mounts.set(digest, this.#mount(other));
    }
    if (this.#mounts.size > 0 && !this.#isWatched) void this.#watch();
  }

  /** The id of a layer that is mounted, which is its caller's from now on; undefined if there is none. */
  async take(digest: Digest): Promise<number | undefined> {
    const mount = this.#mounts.get(digest);
    this.#mounts.delete(digest);
    return await mount;
  }

  /** Begins no more, and waits for those that are being mounted. Their directories are left to the next start. */
  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.allSettled(this.#mounting);
  }

  async #mount(origin: RemoteOrigin): Promise<number | undefined> {
    try {
      const ready = await this.#options.prepare(origin);
      if (ready === undefined) return undefined;
      using _permit = await this.#room.acquire({ signal: this.#ending.signal });
      const mounting = this.#options.mount(ready);
      this.#mounting.add(mounting);
      return await mounting.finally(() => this.#mounting.delete(mounting));
    } catch {
      // Whoever asks for it tries again, and is told then.
      return undefined;
    }
  }

  async #watch(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    let seen: number;
    this.#isWatched = true;
    do {
      seen = this.#requests;
      await clock.sleep(KEPT_MS, { signal }).catch(() => undefined);
    } while (!signal.aborted && seen !== this.#requests);
    this.#isWatched = false;
    if (!signal.aborted) for (const digest of this.#mounts.keys()) void this.#giveUp(digest);
  }

  async #giveUp(digest: Digest): Promise<void> {
    const id = await this.take(digest);
    if (id !== undefined) this.#options.discard(id);
  }
}
