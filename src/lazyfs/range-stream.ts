/**
 * One byte range of a blob, piece by piece, over a second connection if the first one turns out to be slow.
 *
 * @module
 */
import type { BlobSource } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";

interface Connection {
  readonly iterator: AsyncIterator<Uint8Array>;
  readonly controller: AbortController;
  /** The blob offset of what it gives next. */
  at: number;
  /** Its first piece, where it was waited for already. */
  first?: IteratorResult<Uint8Array>;
}

/** A stream of `[offset, end)`. Not to be used after an error; close it, and open another one at {@link RangeStream.at}. */
export class RangeStream {
  /** The blob offset of the next piece: everything before it was given. */
  at: number;
  readonly #blob: BlobSource;
  readonly #end: number;
  readonly #signal: AbortSignal;
  readonly #connections = new Set<Connection>();
  #current: Connection;
  #successor: Connection | undefined;
  #switched = Promise.withResolvers<"switched">();

  constructor(
    blob: BlobSource,
    range: { readonly offset: number; readonly end: number; readonly signal: AbortSignal },
  ) {
    this.#blob = blob;
    this.at = range.offset;
    this.#end = range.end;
    this.#signal = range.signal;
    this.#current = this.#connect();
  }

  /**
   * The next bytes, never empty; undefined at the end.
   *
   * @throws {EsgzError} `SIZE_MISMATCH`; codes of the medium.
   */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const connection = this.#takeOver();
      const step = connection.first ?? (await this.#step(connection));
      delete connection.first;
      if (step === "switched") continue;
      if (step.done === true) {
        if (this.at === this.#end) return undefined;
        throw this.#sizeMismatch(`the end at ${this.at}`);
      }
      const skip = this.at - connection.at;
      connection.at += step.value.length;
      if (connection.at > this.#end) throw this.#sizeMismatch("more");
      if (skip >= step.value.length) continue;
      this.at = connection.at;
      return step.value.subarray(skip);
    }
  }

  /**
   * Asks for the rest once more; who answers goes on. At most one second connection at a time: with `anew` one that has not
   * answered is left for another one, else it is waited for.
   */
  hedge({ anew = false }: { readonly anew?: boolean } = {}): void {
    if (this.at >= this.#end) return;
    if (this.#successor !== undefined && !(anew && this.#leaveSuccessor(this.#successor))) return;
    const connection = this.#connect();
    this.#successor = connection;
    const arrived = async (): Promise<void> => {
      try {
        connection.first = await connection.iterator.next();
        // One that was left may answer all the same: nobody would switch to it, and `next()` would try for ever.
        if (this.#successor === connection) this.#switched.resolve("switched");
      } catch {
        // The first connection has not failed: it goes on.
        this.#connections.delete(connection);
        if (this.#successor === connection) this.#successor = undefined;
      }
    };
    void arrived();
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    const connections = [...this.#connections];
    for (const { controller } of connections) controller.abort();
    await Promise.allSettled(connections.map(async ({ iterator }) => await iterator.return?.()));
  }

  /** Whether a second connection was left: not if it has answered. */
  #leaveSuccessor(successor: Connection): boolean {
    if (successor.first !== undefined) return false;
    successor.controller.abort();
    this.#connections.delete(successor);
    return true;
  }

  /** Leaves a connection for the one beside it, once that has answered. */
  #takeOver(): Connection {
    const successor = this.#successor;
    if (successor?.first === undefined) return this.#current;
    const slow = this.#current;
    slow.controller.abort();
    slow.iterator.return?.().catch(() => undefined);
    this.#connections.delete(slow);
    this.#current = successor;
    this.#successor = undefined;
    this.#switched = Promise.withResolvers();
    return successor;
  }

  async #step(connection: Connection): Promise<IteratorResult<Uint8Array> | "switched"> {
    const step = connection.iterator.next();
    // When the other connection is first, nobody listens any more.
    step.catch(() => undefined);
    return await Promise.race([this.#switched.promise, step]);
  }

  #connect(): Connection {
    const controller = new AbortController();
    const signal = AbortSignal.any([this.#signal, controller.signal]);
    const range = { offset: this.at, size: this.#end - this.at };
    const iterator = this.#blob.stream(range, { signal })[Symbol.asyncIterator]();
    const connection = { iterator, controller, at: this.at };
    this.#connections.add(connection);
    return connection;
  }

  #sizeMismatch(found: string): EsgzError {
    return new EsgzError(
      "SIZE_MISMATCH",
      `Cannot fetch range: expected bytes up to ${this.#end} of the blob, got ${found}`,
    );
  }
}
