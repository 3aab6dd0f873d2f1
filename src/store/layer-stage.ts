/**
 * A layer whose bytes come before its metadata is known: one that is streamed whole.
 *
 * @module
 */
import { hash } from "node:crypto";
import { type FileHandle, mkdir, open, rm, stat } from "node:fs/promises";
import { DisposableList } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { replaceFile } from "../files/index.ts";
import { BLOCK_SIZE, type ChunkRow } from "./chunk-row.ts";
import { encodeChunkTable } from "./chunk-table-file.ts";
import type { ChunkTableLimits } from "./chunk-table-limits.ts";
import { writeLayerRecords } from "./create-layer.ts";
import { encodeFilled, fingerprintOf } from "./filled-file.ts";
import type { LayerSource } from "./layer-source.ts";
import { guarded } from "./store-error.ts";
import { type LayerPaths, layerPaths } from "./store-layout.ts";

/** What becomes known when the stream has ended, and was found to match the layer's digest. */
export interface StagedLayer {
  readonly meta: Uint8Array;
  /** The size of the data device in bytes, a multiple of 4096. */
  readonly dataSize: number;
  readonly source: LayerSource;
}

/** A chunk that another thread wrote to a stage's data file. */
export interface StagedChunk {
  readonly place: number;
  readonly size: number;
  /** The raw SHA-256 (32 bytes) of the chunk. */
  readonly digest: Uint8Array;
}

/** What a stage needs of its store. */
export interface LayerStageContext {
  readonly directory: string;
  readonly limits: ChunkTableLimits;
  /** Makes room for bytes until they are a layer, or are given up. */
  readonly admit: (bytes: number) => Promise<Disposable>;
  /** The same for metadata and chunk table, which are never refused. */
  readonly admitRecords: (bytes: number) => Promise<Disposable>;
  readonly nextTemporary: () => string;
  /** Gives the finished directory its name. */
  readonly publish: (directory: string, source: LayerSource) => Promise<void>;
}

/** A layer in the making. Closing it without {@link LayerStage.commit} leaves nothing behind. */
export class LayerStage implements AsyncDisposable {
  readonly #context: LayerStageContext;
  readonly #paths: LayerPaths;
  readonly #data: FileHandle;
  readonly #rows: ChunkRow[] = [];
  readonly #room = new DisposableList();
  #state: "open" | "committed" | "closed" = "open";

  private constructor(context: LayerStageContext, data: FileHandle) {
    this.#context = context;
    this.#paths = layerPaths(context.directory);
    this.#data = data;
  }

  /** Begins a stage. For the store: others call `Store.stageLayer()`. */
  static async begin(context: LayerStageContext): Promise<LayerStage> {
    await mkdir(context.directory);
    return new LayerStage(context, await open(layerPaths(context.directory).data, "wx+", 0o644));
  }

  /**
   * Writes the next chunk; places ascend. The digest that the store keeps is computed here. The bytes may be reused
   * when the promise settles.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async write(place: number, bytes: Uint8Array): Promise<void> {
    this.#assertOpen();
    const digest = hash("sha256", bytes, "buffer");
    this.#rows.push({ place, size: bytes.length, blobOffset: 0, memberSize: 0, innerOffset: 0, digest });
    await guarded("write a chunk", async () => {
      this.#take(await this.#context.admit(Math.ceil(bytes.length / BLOCK_SIZE) * BLOCK_SIZE));
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await this.#data.write(bytes, done, bytes.length - done, place + done);
        done += bytesWritten;
      }
    });
  }

  /** The data file, empty at first, for a thread that writes chunks by itself; it opens and closes it. */
  get dataPath(): string {
    return this.#paths.data;
  }

  /**
   * Makes room for bytes that another thread writes, or has just written.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async admit(bytes: number): Promise<void> {
    this.#assertOpen();
    this.#take(await guarded("make room for a layer", () => this.#context.admit(bytes)));
  }

  /** Takes note of chunks that another thread wrote, by ascending places; what their digests say is believed. */
  accept(chunks: Iterable<StagedChunk>): void {
    this.#assertOpen();
    for (const { place, size, digest } of chunks) {
      this.#rows.push({ place, size, blobOffset: 0, memberSize: 0, innerOffset: 0, digest });
    }
  }

  /**
   * Makes the layer durable, complete, and gives it its name. To be called only when the whole blob was found to match
   * the layer's digest: what was written is believed from here on.
   *
   * @throws {EsgzError} `STORE_INVALID` for chunks out of order; `ALREADY_EXISTS` while somebody uses another layer with
   * this digest; `NO_SPACE`, `IO_FAILED`
   */
  async commit(layer: StagedLayer): Promise<void> {
    this.#assertOpen();
    const { limits, nextTemporary, directory, publish } = this.#context;
    const table = encodeChunkTable({ dataSize: layer.dataSize, rows: this.#rows }, limits);
    const count = this.#rows.length;
    await guarded("commit a layer", async () => {
      using _records = await this.#context.admitRecords(layer.meta.length + table.length);
      await this.#data.truncate(layer.dataSize);
      await this.#data.sync();
      await writeLayerRecords(this.#paths, { ...layer, table }, { durable: true });
      const clean = {
        data: fingerprintOf(await this.#data.stat({ bigint: true })),
        meta: fingerprintOf(await stat(this.#paths.meta, { bigint: true })),
      };
      const filled = encodeFilled({ count, bitmap: fullBitmap(count), clean });
      await replaceFile(this.#paths.filled, filled, { temporary: nextTemporary() });
      await publish(directory, layer.source);
    });
    this.#state = "committed";
    await this.#room[Symbol.asyncDispose]();
    await this.#data.close();
  }

  /** Discards what was not committed. */
  async close(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closed";
    try {
      await this.#data.close();
      await rm(this.#context.directory, { recursive: true, force: true });
    } finally {
      await this.#room[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Keeps room until the end, unless that has come meanwhile. */
  #take(room: Disposable): void {
    if (this.#state !== "open") room[Symbol.dispose]();
    this.#assertOpen();
    this.#room.use(room);
  }

  #assertOpen(): void {
    if (this.#state === "open") return;
    throw new EsgzError(
      "INTERNAL",
      `Cannot write to layer stage: expected an open one, got a ${this.#state} one`,
    );
  }
}

function fullBitmap(count: number): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(count / 8)).fill(0xff);
  if (count % 8 !== 0) bitmap[bitmap.length - 1] = (1 << (count % 8)) - 1;
  return bitmap;
}
