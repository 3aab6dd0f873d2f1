/**
 * Worker side: the blob of a layer comes in pieces, is decompressed, proven, and written to its data device; then the next.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { Channel } from "../async/index.ts";
import type { BlobSource } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { streamLayerTar } from "../image/index.ts";
import { serveJobs } from "../workers/index.ts";
import type { StageAnswer, StageJob, StageStart } from "./stage-protocol.ts";
import { TarLayerWriter, type WrittenLayer } from "./tar-layer-writer.ts";

/** Pieces that wait to be decompressed: enough that the next one is on its way meanwhile. */
const WAITING_PIECES = 2;

/** The blob as this thread sees it: once from the start, and again if that is asked for. */
class ArrivingBlob implements BlobSource {
  readonly size: number;
  #passes = 0;
  #pieces = new Channel<Uint8Array>(WAITING_PIECES);
  #wanted = Promise.withResolvers<void>();

  constructor(size: number) {
    this.size = size;
  }

  /** Resolves when the blob is needed again from its start. */
  get wantedAgain(): Promise<void> {
    return this.#wanted.promise;
  }

  read(): Promise<Uint8Array> {
    return Promise.reject(
      new EsgzError("NOT_SUPPORTED", "Cannot read layer: expected to stream it from its start"),
    );
  }

  stream(): AsyncIterable<Uint8Array> {
    this.#passes += 1;
    if (this.#passes === 1) return this.#pieces;
    this.#pieces = new Channel(WAITING_PIECES);
    this.#wanted.resolve();
    return this.#pieces;
  }

  /** Forgets that the blob was needed again: it is coming. */
  begin(): void {
    this.#wanted = Promise.withResolvers();
  }

  /** Takes a piece, when there is room for it. */
  async push(bytes: Uint8Array): Promise<void> {
    await this.#pieces.send(bytes);
  }

  end(): void {
    this.#pieces.end();
  }
}

/** Stages one layer. */
class LayerStager {
  readonly #blob: ArrivingBlob;
  readonly #fd: number;
  readonly #writer: TarLayerWriter;
  readonly #result: Promise<WrittenLayer>;

  constructor(start: StageStart) {
    this.#blob = new ArrivingBlob(start.layer.descriptor.size);
    this.#fd = openSync(start.dataPath, "r+");
    this.#writer = new TarLayerWriter(this.#fd);
    this.#result = this.#run(start);
    // Whoever pushes next learns of it.
    this.#result.catch(() => undefined);
  }

  async answer(job: Exclude<StageJob, { kind: "begin" }>): Promise<StageAnswer> {
    if (job.kind === "restart") this.#blob.begin();
    else if (job.kind === "finish") this.#blob.end();
    else await this.#push(job.bytes);
    const again = this.#blob.wantedAgain.then(() => "again" as const);
    const next = job.kind === "finish" ? again : Promise.race([again, tick()]);
    const outcome = await Promise.race([this.#result, next]);
    const { written } = this.#writer;
    if (outcome === "again") return { written, restart: true };
    return { written, restart: false, layer: outcome };
  }

  /** A consumer that has stopped says why with its result. */
  async #push(bytes: Uint8Array): Promise<void> {
    await Promise.race([this.#blob.push(bytes), this.#result]).catch(() => undefined);
  }

  async #run({ layer, overlayMarks }: StageStart): Promise<WrittenLayer> {
    try {
      const tar = streamLayerTar({ ...layer, blob: this.#blob });
      for await (const piece of tar) this.#writer.push(piece);
      return this.#writer.finish({ overlayMarks });
    } finally {
      closeSync(this.#fd);
    }
  }
}

/** Nothing, after what has settled already was told. */
async function tick(): Promise<undefined> {
  await Promise.resolve();
  return undefined;
}

/** Stages one layer after the other. */
function createStaging(): (job: StageJob) => Promise<StageAnswer> {
  let stager: LayerStager | undefined;
  return async (job) => {
    if (job.kind === "begin") {
      stager = new LayerStager(job.start);
      return { written: 0, restart: false };
    }
    if (stager === undefined) throw new EsgzError("INTERNAL", `Cannot ${job.kind} layer: expected its begin`);
    const answer = await stager.answer(job);
    // What is known of a whole layer is large, and nobody asks for it again.
    if (job.kind === "finish" && !answer.restart) stager = undefined;
    return answer;
  };
}

serveJobs(createStaging, {
  action: "stage layer",
  transferOf: ({ layer }) => (layer === undefined ? [] : [layer.meta.buffer, layer.rows.buffer]),
});
