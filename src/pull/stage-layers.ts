/**
 * Layers without an index: each streams whole, a worker unpacks it into the staging directory, and nothing of it counts
 * before blob digest and diff id were right.
 *
 * @module
 */
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";
import { type Layer, type LayerTree, streamLayerTar } from "../image/index.ts";
import type { PullProgress } from "./pull-progress.ts";
import type { PullState } from "./pull-state.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** A layer that is staged. */
export interface StagedLayer {
  /** Reads its entries from the disk, each time it is iterated. */
  readonly tree: LayerTree;
  /** Whether an earlier pull did it. */
  readonly reused: boolean;
}

/** What staging works with. */
export interface StageOptions {
  readonly state: PullState;
  readonly pool: WorkerPool;
  readonly progress: PullProgress;
  readonly signal: AbortSignal;
}

/** Tar bytes go to the worker in pieces; this many may be under way. */
const PUSHES_IN_FLIGHT = 4;

/**
 * Stages a layer, unless an earlier pull did.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `COMPRESSION_INVALID`, `TAR_INVALID`, `NO_SPACE`, `IO_FAILED`; codes of the medium.
 */
export async function stageLayer(layer: Layer, options: StageOptions): Promise<StagedLayer> {
  const { state, pool, progress, signal } = options;
  const stage = layer.index;
  if (state.isStaged(stage)) return { tree: state.stagedTree(stage), reused: true };
  await pool.runOn(stage, { kind: "stage-open", stage, place: state.openStage(stage) });
  progress.expect(layer.index, layer.descriptor.size);
  const blob = new CountedBlob(layer.blob, (size) => progress.received(layer.index, size));
  const pushes: Promise<unknown>[] = [];
  for await (const bytes of streamLayerTar({ ...layer, blob }, { signal })) {
    const tar = new Uint8Array(bytes);
    const push = pool.runOn(stage, { kind: "stage-push", stage, bytes: tar }, { transfer: [tar.buffer] });
    // Its failure is seen when its turn comes; until then nobody listens.
    push.catch(() => undefined);
    pushes.push(push);
    if (pushes.length >= PUSHES_IN_FLIGHT) await pushes.shift();
  }
  await Promise.all(pushes);
  await pool.runOn(stage, { kind: "stage-finish", stage });
  state.commitStage(stage);
  return { tree: state.stagedTree(stage), reused: false };
}

/** Tells how much of a blob has been streamed. */
class CountedBlob implements BlobSource {
  readonly size: number;
  readonly #blob: BlobSource;
  readonly #onBytes: (size: number) => void;

  constructor(blob: BlobSource, onBytes: (size: number) => void) {
    this.size = blob.size;
    this.#blob = blob;
    this.#onBytes = onBytes;
  }

  async read(range: ByteRange, options?: ReadOptions): Promise<Uint8Array> {
    return await this.#blob.read(range, options);
  }

  async *stream(range: ByteRange, options?: ReadOptions): AsyncIterable<Uint8Array> {
    for await (const bytes of this.#blob.stream(range, options)) {
      this.#onBytes(bytes.length);
      yield bytes;
    }
  }
}
