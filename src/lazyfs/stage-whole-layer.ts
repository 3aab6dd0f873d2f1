/**
 * A layer that is read whole: streamed once, into the same files as a lazy one.
 *
 * ```text
 * this thread                      another thread
 * blob ── pieces of 1 MiB ──────>  decompress ── blob digest, diff id ── tar ──┬── contents ── data device of the stage
 * commit <── metadata, chunk table ────────────────────────────────────────────┘
 * ```
 *
 * @module
 */
import { type ReadOptions, wholeRange } from "../blob/index.ts";
import type { OverlayNamespace } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Layer } from "../image/index.ts";
import type { LayerHandle, LayerLocation, LayerSource, LayerStage, Store } from "../store/index.ts";
import type { StageAnswer, StageStart } from "./stage-protocol.ts";
import { type StageThread, StageThreads } from "./stage-threads.ts";
import { decodeStagedRows } from "./staged-rows.ts";
import type { WrittenLayer } from "./tar-layer-writer.ts";

/** How to stage a layer. */
export interface StageWholeLayerOptions extends ReadOptions {
  readonly store: Store;
  /** Where the blob lies, for the record. */
  readonly location?: LayerLocation | undefined;
  /** Where overlayfs will look for the layer's marks; `trusted` by default. */
  readonly overlayMarks?: OverlayNamespace | undefined;
  /** Is told how many bytes of the blob have been read. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  /** Whose thread does it; default: one for this layer alone. */
  readonly stageThreads?: StageThreads | undefined;
}

/** What sending a blob needs. */
interface SendOptions extends StageWholeLayerOptions {
  readonly thread: StageThread;
  readonly stage: LayerStage;
}

/** Bytes that change threads at once. */
const PIECE_SIZE = 1 << 20;

/**
 * Reads a layer whole into the store and opens it. It appears there only when the blob's digest and size, and the digest of
 * its tar where that is known, were found to be right. Memory does not depend on the layer's size but for its metadata.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `COMPRESSION_INVALID`; `TAR_INVALID`, `PATH_INVALID`,
 * `EROFS_INVALID`, `LIMIT_EXCEEDED` for a tar that cannot be an image; `ALREADY_EXISTS` while somebody uses a layer of this
 * digest from a table of contents; `NO_SPACE`, `IO_FAILED`; codes of the medium.
 */
export async function stageWholeLayer(layer: Layer, options: StageWholeLayerOptions): Promise<LayerHandle> {
  const { store, overlayMarks = "trusted", stageThreads } = options;
  const { index, descriptor, diffId, compression } = layer;
  const { digest } = descriptor;
  await using stage = await store.stageLayer(digest);
  const start: StageStart = {
    layer: { index, descriptor, diffId, compression },
    dataPath: stage.dataPath,
    overlayMarks,
  };
  await using own = new StageThreads();
  const written = await (stageThreads ?? own).use(async (thread) => {
    await thread.run({ kind: "begin", start });
    return await sendBlob(layer, { ...options, thread, stage });
  });
  stage.accept(decodeStagedRows(written.rows));
  const { meta, dataSize } = written;
  await stage.commit({ meta, dataSize, source: sourceOf(layer, options.location) });
  const handle = await store.openLayer(digest);
  if (handle !== undefined) return handle;
  throw new EsgzError(
    "STORE_INVALID",
    `Cannot open layer ${digest}: expected what was just made, got nothing`,
  );
}

/** Sends the blob to the thread, again if it needs that, until the layer is there. */
async function sendBlob(layer: Layer, options: SendOptions): Promise<WrittenLayer> {
  // Another pass writes to the same places.
  const room = { bytes: 0 };
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    if (pass > 0) await options.thread.run({ kind: "restart" });
    const answer = await sendOnce(layer, { ...options, room });
    if (answer.layer !== undefined) return answer.layer;
  }
  throw new EsgzError("INTERNAL", "Cannot stage layer: expected a result, got none");
}

/** A blob is needed a second time when foreign bytes follow its gzip data, and never more often. */
const MAX_PASSES = 3;

async function sendOnce(
  layer: Layer,
  options: SendOptions & { readonly room: { bytes: number } },
): Promise<StageAnswer> {
  const { thread, stage, room, onProgress, signal } = options;
  let sent = 0;
  const take = async (answer: StageAnswer): Promise<StageAnswer> => {
    await stage.admit(Math.max(0, answer.written - room.bytes));
    room.bytes = Math.max(room.bytes, answer.written);
    return answer;
  };
  // One piece is on its way while the next one is read.
  let last: Promise<StageAnswer> = Promise.resolve({ written: 0, restart: false });
  for await (const bytes of piecesOf(layer, { signal })) {
    signal?.throwIfAborted();
    const answer = await take(await last);
    if (answer.restart) return answer;
    sent += bytes.length;
    last = thread.run({ kind: "push", bytes }, { transfer: [bytes.buffer] });
    last.catch(() => undefined);
    onProgress?.(sent);
  }
  const answer = await take(await last);
  return answer.restart ? answer : await take(await thread.run({ kind: "finish" }));
}

/** The blob in large pieces, each in memory of its own that may change threads. */
async function* piecesOf(
  { blob }: Layer,
  options: ReadOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  let piece = new Uint8Array(PIECE_SIZE);
  let used = 0;
  for await (const bytes of blob.stream(wholeRange(blob), options)) {
    for (let done = 0; done < bytes.length;) {
      const size = Math.min(bytes.length - done, PIECE_SIZE - used);
      piece.set(bytes.subarray(done, done + size), used);
      used += size;
      done += size;
      if (used < PIECE_SIZE) continue;
      yield piece;
      piece = new Uint8Array(PIECE_SIZE);
      used = 0;
    }
  }
  if (used > 0) yield piece.slice(0, used);
}

function sourceOf(
  { descriptor, diffId, compression }: Layer,
  location: LayerLocation | undefined,
): LayerSource {
  return {
    mediaType: descriptor.mediaType,
    blobSize: descriptor.size,
    compression: compression === "uncompressed" ? "none" : compression,
    ...(diffId === undefined ? {} : { diffId }),
    prefetchSize: 0,
    locations: location === undefined ? [] : [location],
    blobVerified: true,
  };
}
