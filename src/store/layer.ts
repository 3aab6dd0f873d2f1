/**
 * An open layer: its chunks are written once, verified, and read.
 *
 * @module
 */
import { assertRangeInside, type ByteRange, type ReadOptions } from "../blob/index.ts";
import { replaceFile } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import type { BitSet } from "./bit-set.ts";
import { ChunkChecks, type ReverifyReport } from "./chunk-checks.ts";
import type { ChunkRow } from "./chunk-row.ts";
import { type ChunkSlot, isStoredSync, verifyChunk, writeSlot } from "./chunk-slot.ts";
import type { IndexRange } from "./chunk-table.ts";
import { copySlot, type DataFile, readDataFile } from "./data-file.ts";
import { type LayerBits, slotAt } from "./layer-bits.ts";
import type { LayerContext, LayerFiles } from "./layer-files.ts";
import { encodeSource, type LayerSource } from "./layer-source.ts";
import { guarded } from "./store-error.ts";

/** What a read of the data device gives: the bytes, or the chunks that are missing for them. */
export type RangeRead =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "missing"; readonly chunks: readonly number[] };

/** A layer of a store. All callers that have it open share one object; see `Store.openLayer()`. */
export class Layer {
  /** The digest of the layer's blob. */
  readonly digest: Digest;
  /** The path of the EROFS metadata image. It was checked when the layer was opened. */
  readonly metaPath: string;
  /** The path of the sparse data device. */
  readonly dataPath: string;
  /** The size of the data device in bytes, a multiple of 4096. */
  readonly dataSize: number;
  /** The number of chunks; indexes are in the order of places. */
  readonly chunkCount: number;
  /** The sum of the sizes of all chunks. */
  readonly chunkBytes: number;
  readonly #files: LayerFiles;
  readonly #data: DataFile;
  readonly #bits: LayerBits;
  readonly #context: LayerContext;
  readonly #checks: ChunkChecks;
  readonly #pending = new Set<Promise<unknown>>();
  /** Chunks with a wrong copy in their places, and over what others may have written there without saying so yet. */
  readonly #spoiled = new Set<number>();
  #source: LayerSource;

  constructor(digest: Digest, files: LayerFiles, context: LayerContext) {
    this.digest = digest;
    this.metaPath = files.paths.meta;
    this.dataPath = files.paths.data;
    this.dataSize = files.table.dataSize;
    this.chunkCount = files.table.count;
    this.chunkBytes = files.table.chunkBytes;
    this.#files = files;
    this.#data = { layer: digest, path: files.paths.data, file: files.data };
    this.#bits = files.bits;
    this.#context = context;
    this.#checks = new ChunkChecks(digest, files, context);
    this.#source = files.record.source;
  }

  /** The digest of the metadata image. */
  get metaDigest(): Digest {
    return this.#files.record.metaDigest;
  }

  /** Where the layer comes from. */
  get source(): LayerSource {
    return this.#source;
  }

  /** Whether every chunk is there and verified: the data file may be read without asking. */
  get complete(): boolean {
    return this.#bits.complete;
  }

  /** How many chunks are there and verified. */
  get filledCount(): number {
    return this.#bits.filled.count;
  }

  /** How many chunks may be there but have to be verified first: none but after an unclean end. */
  get unverifiedCount(): number {
    return this.#bits.claimed.count;
  }

  /** The bytes of chunks that wait for a checkpoint. */
  get unsyncedBytes(): number {
    return this.#files.journal.writtenBytes;
  }

  /**
   * One bit for each block of 4096 bytes of the data device, shared with other threads: a range whose blocks are all
   * set may be read from the data file by anyone. Bit `n % 8` of byte `n / 8` is block `n`.
   */
  get readyBlocks(): BitSet {
    return this.#bits.ready;
  }

  /** The chunk at an index. @throws {EsgzError} `STORE_INVALID` */
  chunk(index: number): ChunkRow {
    return this.#files.table.row(index);
  }

  /** The place of a chunk, for `writeChunkSync()` on another thread. @throws {EsgzError} `STORE_INVALID` */
  slot(index: number): ChunkSlot {
    return slotAt(this.#files.table, index);
  }

  /** The indexes of the chunks that hold bytes of a range of the data device, the rest of their last blocks included. */
  chunksIn(range: ByteRange): IndexRange {
    assertRangeInside(range, this.dataSize);
    return this.#files.table.overlapping(range.offset, range.size);
  }

  /** Whether a chunk is there and verified. */
  hasChunk(index: number): boolean {
    return this.#bits.filled.has(index);
  }

  /** Whether all chunks of a range of the data device are there and verified. */
  isFilled(range: ByteRange): boolean {
    const { first, end } = this.chunksIn(range);
    return this.#bits.filled.hasRange(first, end);
  }

  /**
   * The chunks between two indexes that are not there. Those that may be there are verified first.
   *
   * @throws {EsgzError} `IO_FAILED`
   */
  async missingChunks(range: IndexRange, options: ReadOptions = {}): Promise<number[]> {
    const missing: number[] = [];
    for (let index = range.first; index < Math.min(range.end, this.chunkCount); index += 1) {
      if (this.#bits.claimed.has(index)) await this.#track(this.#checks.settle(index, options));
      if (!this.#bits.filled.has(index)) missing.push(index);
    }
    return missing;
  }

  /**
   * Reads a range of the data device, holes and gaps as zeros. Never gives a byte that was not verified.
   *
   * @throws {EsgzError} `RANGE_INVALID`, `IO_FAILED`
   */
  async readRange(range: ByteRange, options: ReadOptions = {}): Promise<RangeRead> {
    options.signal?.throwIfAborted();
    const chunks = await this.missingChunks(this.chunksIn(range), options);
    if (chunks.length > 0) return { kind: "missing", chunks };
    return { kind: "data", bytes: await this.#track(readDataFile(this.#data, range)) };
  }

  /**
   * Reads a chunk; undefined if it is not there.
   *
   * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`
   */
  async readChunk(index: number, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    const { place, size } = this.chunk(index);
    if ((await this.missingChunks({ first: index, end: index + 1 }, options)).length > 0) return undefined;
    return await this.#track(readDataFile(this.#data, { offset: place, size }));
  }

  /**
   * Verifies a chunk and writes it to its place; one that is there already is not written again. The bytes may be
   * reused when the promise settles. The chunk survives a crash after the next {@link Layer.checkpoint}.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`, `SIZE_MISMATCH`; `NO_SPACE` if the disk or the quota is full: the store is
   * as it was, and the caller can serve the bytes from memory; `IO_FAILED`
   */
  async writeChunk(index: number, bytes: Uint8Array, options: ReadOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    const slot = this.slot(index);
    verifyChunk(slot, bytes);
    if (this.#bits.filled.has(index)) return;
    await this.#track(
      guarded(`write a chunk of ${this.digest}`, async () => {
        using _room = await this.#context.admit(slot.size + slot.padding);
        await this.#files.journal.begin();
        await writeSlot(this.#files.data, slot, bytes);
        this.#noteWritten(index, slot.size);
      }),
    );
    this.#checkpointWhenDue();
  }

  /**
   * Prepares for chunks that other threads write with `writeChunkSync()` to a file of their own at `dataPath`. To be disposed
   * of when they were written, or will not be.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async beginWriting(bytes: number): Promise<Disposable> {
    return await this.#track(
      guarded(`write to ${this.digest}`, async () => {
        const room = await this.#context.admit(bytes);
        try {
          await this.#files.journal.begin();
          return room;
        } catch (error) {
          room[Symbol.dispose]();
          throw error;
        }
      }),
    );
  }

  /** Takes note of a chunk that another thread wrote with `writeChunkSync()`, after {@link Layer.beginWriting}. */
  acceptChunk(index: number): void {
    const { size } = this.chunk(index);
    if (!this.#bits.filled.has(index)) this.#noteWritten(index, size);
    this.#checkpointWhenDue();
  }

  /**
   * Copies a chunk from this or another open layer, if it is there, and verifies the copy.
   *
   * @returns whether the chunk is there now.
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async copyChunk(index: number, from: { readonly layer: Layer; readonly index: number }): Promise<boolean> {
    if ((await this.missingChunks({ first: index, end: index + 1 })).length === 0) return true;
    const slot = this.slot(index);
    const original = from.layer.slot(from.index);
    const missing = await from.layer.missingChunks({ first: from.index, end: from.index + 1 });
    if (missing.length > 0 || original.size !== slot.size) return false;
    return await this.#track(
      guarded(`copy a chunk into ${this.digest}`, () => this.#copy(index, slot, { ...from, slot: original })),
    );
  }

  /**
   * Verifies all chunks that may be there, one after the other: for the background, after an unclean end.
   *
   * @throws {EsgzError} `IO_FAILED`
   */
  async reverify(options: ReadOptions = {}): Promise<ReverifyReport> {
    return await this.#track(this.#checks.settleAll(options));
  }

  /**
   * Reads and verifies every chunk, also those that are believed: for `fsck`, and after the disk was in doubt.
   *
   * @throws {EsgzError} `IO_FAILED`
   */
  async scrub(options: ReadOptions = {}): Promise<ReverifyReport> {
    this.#checks.doubtAll();
    return await this.reverify(options);
  }

  /**
   * Makes what was written before the call durable, then its bits.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`: after a failed sync the chunks concerned count as missing again.
   */
  async checkpoint(): Promise<void> {
    await this.#track(guarded(`checkpoint ${this.digest}`, () => this.#files.journal.checkpoint()));
  }

  /**
   * Replaces what is known about the source.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async updateSource(source: LayerSource): Promise<void> {
    const bytes = encodeSource({ ...this.#files.record, source });
    const temporary = this.#context.nextTemporary();
    await this.#track(
      guarded(`update the source of ${this.digest}`, () =>
        replaceFile(this.#files.paths.source, bytes, { temporary }),
      ),
    );
    this.#source = source;
  }

  /** Ends the session for this layer and closes its files. For the store: others close their handle. */
  async end(): Promise<void> {
    this.#checks.stop();
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
    const { table, data, journal } = this.#files;
    try {
      await guarded(`close ${this.digest}`, () => journal.finish());
    } finally {
      table[Symbol.dispose]();
      await data.close();
    }
  }

  async #copy(
    index: number,
    slot: ChunkSlot,
    from: { readonly layer: Layer; readonly slot: ChunkSlot },
  ): Promise<boolean> {
    using _room = await this.#context.admit(slot.size + slot.padding);
    await this.#files.journal.begin();
    // It may have come meanwhile, and is shown.
    if (this.#bits.filled.has(index)) return true;
    const original = { data: from.layer.#data, slot: from.slot };
    this.#spoiled.add(index);
    if (!(await copySlot(original, { data: this.#data, slot }))) return false;
    this.#spoiled.delete(index);
    this.#noteWritten(index, slot.size);
    this.#context.onEvent({ kind: "chunk-copied", layer: this.digest, index, from: from.layer.digest });
    return true;
  }

  #noteWritten(index: number, size: number): void {
    if (this.#spoiled.delete(index) && !isStoredSync(this.#files.data.fd, this.slot(index))) return;
    this.#bits.fill(index);
    this.#files.journal.noteWritten(index, size);
  }

  #checkpointWhenDue(): void {
    if (this.#files.journal.writtenBytes < this.#context.checkpointBytes) return;
    // A failure here has dropped the chunks concerned or left them for the next checkpoint, which then fails aloud.
    this.checkpoint().catch(() => undefined);
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    try {
      return await work;
    } finally {
      this.#pending.delete(work);
    }
  }
}
