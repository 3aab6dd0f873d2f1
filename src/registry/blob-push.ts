/**
 * Pushing a blob: whole where it is small or in memory, in chunks where it is a stream.
 *
 * @module
 */
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { algorithmOf, type Digest, digestMismatch } from "../oci/index.ts";
import { hasBlob } from "./blob-existence.ts";
import { ChunkReader } from "./chunk-reader.ts";
import { digestOf } from "./manifest-store.ts";
import { openUploadSession, type UploadPlace, type UploadSession } from "./upload-session.ts";

/** What is known about pushed bytes, and how to send them. */
export interface PushBlobOptions {
  /** What the bytes must hash to; computed where it is not given. */
  readonly digest?: Digest | undefined;
  /** How many bytes there must be. */
  readonly size?: number | undefined;
  /** Bytes per chunk of a stream; default 8 MiB. Twice as much is held in memory. */
  readonly chunkSize?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A blob that the registry has accepted. */
export interface PushedBlob {
  readonly digest: Digest;
  readonly size: number;
}

const DEFAULT_CHUNK_SIZE = 8 << 20;
/** A registry that wants larger chunks gets one streamed request instead. */
const MAX_CHUNK_SIZE = 256 << 20;
const CHUNKS_REFUSED: ReadonlySet<unknown> = new Set([400, 404, 405, 411, 415, 416, 501]);

/** Pushes bytes that are in memory: one POST, one PUT. */
export async function pushBytes(
  place: UploadPlace,
  bytes: Uint8Array,
  options: PushBlobOptions,
): Promise<PushedBlob> {
  const digest = digestOf(bytes, algorithmOf(options.digest ?? "sha256:"));
  const pushed = { digest, size: bytes.length };
  assertExpected(pushed, options);
  const budget = place.host.budgetFor(place.host.upstream);
  for (;;) {
    const session = await openedSession(place);
    try {
      await session.put(digest, bytes);
      return pushed;
    } catch (error) {
      await session.cancel();
      place.signal?.throwIfAborted();
      await budget.pauseAfter(error, place.signal);
      // The answer may have been lost after the registry had accepted the blob.
      if (await hasBlob(place, digest)) return pushed;
    }
  }
}

/** Pushes a stream; its digest is computed while it is sent. The source is told to stop when the push fails. */
export async function pushStream(
  place: UploadPlace,
  content: AsyncIterable<Uint8Array>,
  options: PushBlobOptions,
): Promise<PushedBlob> {
  const chunkSize = Math.max(1, options.chunkSize ?? DEFAULT_CHUNK_SIZE);
  const algorithm = algorithmOf(options.digest ?? "sha256:");
  const reader = new ChunkReader(content, { algorithm, signal: place.signal });
  try {
    const first = await reader.take(chunkSize);
    if (reader.done) return await pushBytes(place, first, options);
    if (place.host.uploadMode === "streamed") return await pushStreamed(place, { reader, first }, options);
    return await pushChunked(place, { reader, first, chunkSize }, options);
  } finally {
    reader.release();
  }
}

interface StartedStream {
  readonly reader: ChunkReader;
  /** The bytes taken from it so far. */
  readonly first: Uint8Array;
}

async function pushChunked(
  place: UploadPlace,
  stream: StartedStream & { readonly chunkSize: number },
  options: PushBlobOptions,
): Promise<PushedBlob> {
  const { reader, first } = stream;
  const started = await inSession(place, async (session) => {
    const size = Math.max(stream.chunkSize, session.minChunkSize);
    if (size > MAX_CHUNK_SIZE) return first;
    const missing = await reader.take(size - first.length);
    const chunk = missing.length === 0 ? first : Buffer.concat([first, missing]);
    try {
      await session.append(chunk);
    } catch (error) {
      // Registries without chunks refuse the first one; it is still here, so nothing is lost.
      if (isEsgzError(error) && CHUNKS_REFUSED.has(error.details["status"])) {
        await session.cancel();
        return chunk;
      }
      throw error;
    }
    await appendRest(session, reader, size);
    return await finishStream(session, reader, options);
  });
  return started instanceof Uint8Array
    ? await pushStreamed(place, { reader, first: started }, options)
    : started;
}

/** Sends one chunk while the next one is being made. */
async function appendRest(session: UploadSession, reader: ChunkReader, size: number): Promise<void> {
  let chunk = await reader.take(size);
  while (chunk.length > 0) {
    const next = reader.take(size);
    next.catch(() => undefined);
    await session.append(chunk);
    chunk = await next;
  }
}

async function pushStreamed(
  place: UploadPlace,
  { reader, first }: StartedStream,
  options: PushBlobOptions,
): Promise<PushedBlob> {
  return await inSession(place, async (session) => {
    await session.appendStream(reader.rest(first));
    return await finishStream(session, reader, options);
  });
}

async function finishStream(
  session: UploadSession,
  reader: ChunkReader,
  options: PushBlobOptions,
): Promise<PushedBlob> {
  const pushed = { digest: reader.digest(), size: reader.size };
  assertExpected(pushed, options);
  await session.finish(pushed.digest);
  return pushed;
}

/** Opens a session for `work` and cancels it if `work` fails. */
async function inSession<T>(place: UploadPlace, work: (session: UploadSession) => Promise<T>): Promise<T> {
  const session = await openedSession(place);
  try {
    return await work(session);
  } catch (error) {
    await session.cancel();
    throw error;
  }
}

async function openedSession(place: UploadPlace): Promise<UploadSession> {
  const session = await openUploadSession(place);
  if (session === undefined) throw new EsgzError("INTERNAL", "Cannot push blob: no session was opened");
  return session;
}

function assertExpected(pushed: PushedBlob, expected: PushBlobOptions): void {
  if (expected.size !== undefined && pushed.size !== expected.size) {
    throw new EsgzError(
      "SIZE_MISMATCH",
      `Cannot push blob "${expected.digest ?? pushed.digest}": expected ${expected.size} bytes, got ${pushed.size}`,
    );
  }
  if (expected.digest !== undefined && pushed.digest !== expected.digest) {
    throw digestMismatch("pushed blob", expected.digest, pushed.digest);
  }
}
