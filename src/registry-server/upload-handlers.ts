/**
 * Pushing blobs: in one request, in chunks, or by mounting one of another repository.
 *
 * @module
 */
import { NO_BYTES } from "../bytes/index.ts";
import { algorithmOf, type Digest, type DigestAlgorithm } from "../oci/index.ts";
import type { Catalog } from "./catalog.ts";
import type { AnswerHeaders, Exchange } from "./exchange.ts";
import { parseContentRange } from "./range-header.ts";
import { RegistryProblem } from "./registry-problem.ts";
import type { UploadKey } from "./registry-storage.ts";
import { parseRepository, parseRequestDigest } from "./route.ts";
import type { ChunkPlace, UploadSessions } from "./upload-sessions.ts";

/** What the handlers of uploads work with. */
export interface UploadHandlerContext {
  readonly catalog: Catalog;
  readonly uploads: UploadSessions;
  /** Whether the client may read a repository that it wants to mount from. */
  readonly mayPull: (exchange: Exchange, repository: string) => Promise<boolean>;
}

/** Answers `POST /v2/<name>/blobs/uploads/`: begins an upload, takes a whole blob, or mounts one. */
export async function postUpload(
  exchange: Exchange,
  context: UploadHandlerContext,
  repository: string,
): Promise<void> {
  const { uploads } = context;
  const mounted = await mountRequested(exchange, context, repository);
  if (mounted !== undefined) return sendCreated(exchange, repository, mounted);
  const digest = optionalDigest(exchange);
  const algorithm = digest === undefined ? requestedAlgorithm(exchange) : algorithmOf(digest);
  const key = await uploads.begin(repository, { algorithm });
  if (digest === undefined || exchange.query.has("mount")) {
    return exchange.sendEmpty(202, uploadHeaders(key, 0));
  }
  try {
    await uploads.finish(key, exchange.body(), { digest, place: wholeBody(exchange) });
  } catch (error) {
    // Nobody has learned the name of this upload, so nobody can go on with it.
    await uploads.cancel(key);
    throw error;
  }
  sendCreated(exchange, repository, digest);
}

/** Answers `PATCH /v2/<name>/blobs/uploads/<id>`. */
export async function patchUpload(
  exchange: Exchange,
  { uploads }: UploadHandlerContext,
  key: UploadKey,
): Promise<void> {
  const place = chunkPlace(exchange);
  const size = await withStatus(uploads, key, () => uploads.append(key, exchange.body(), { place }));
  exchange.sendEmpty(202, uploadHeaders(key, size));
}

/** Answers `PUT /v2/<name>/blobs/uploads/<id>?digest=...`. */
export async function putUpload(
  exchange: Exchange,
  { uploads }: UploadHandlerContext,
  key: UploadKey,
): Promise<void> {
  const digest = parseRequestDigest(exchange.query.get("digest") ?? "");
  const place = chunkPlace(exchange);
  await withStatus(uploads, key, () => uploads.finish(key, exchange.body(), { digest, place }));
  sendCreated(exchange, key.repository, digest);
}

/** Answers `GET /v2/<name>/blobs/uploads/<id>`. */
export async function getUpload(
  exchange: Exchange,
  { uploads }: UploadHandlerContext,
  key: UploadKey,
): Promise<void> {
  exchange.sendEmpty(204, uploadHeaders(key, await uploads.sizeOf(key)));
}

/** Answers `DELETE /v2/<name>/blobs/uploads/<id>`. */
export async function deleteUpload(
  exchange: Exchange,
  { uploads }: UploadHandlerContext,
  key: UploadKey,
): Promise<void> {
  if (!(await uploads.cancel(key))) throw new RegistryProblem("BLOB_UPLOAD_UNKNOWN", "no such upload");
  exchange.sendEmpty(204);
}

async function mountRequested(
  exchange: Exchange,
  { catalog, mayPull }: UploadHandlerContext,
  repository: string,
): Promise<Digest | undefined> {
  const [mount, from] = [exchange.query.get("mount"), exchange.query.get("from")];
  if (mount === null) return undefined;
  const digest = parseRequestDigest(mount);
  // Without `from` the client would learn what repositories hold that it never named; it uploads instead.
  if (from === null || from === "") return undefined;
  const source = parseRepository(from);
  if (!(await mayPull(exchange, source))) return undefined;
  return (await catalog.mountBlob(repository, digest, source)) ? digest : undefined;
}

/** Adds to a 416 where the client should go on. */
async function withStatus<T>(uploads: UploadSessions, key: UploadKey, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof RegistryProblem) || error.status !== 416) throw error;
    const { code, message, status, detail = {} } = error;
    const headers = uploadHeaders(key, await uploads.sizeOf(key));
    throw new RegistryProblem(code, message, { status, detail, headers, cause: error });
  }
}

function chunkPlace(exchange: Exchange): ChunkPlace | undefined {
  const place = parseContentRange(exchange.header("content-range"));
  const length = exchange.header("content-length");
  if (place === undefined || length === undefined || Number(length) === place.size) return place;
  throw new RegistryProblem(
    "SIZE_INVALID",
    `Content-Range has ${place.size} bytes, Content-Length ${length}`,
  );
}

function wholeBody(exchange: Exchange): ChunkPlace | undefined {
  const length = exchange.header("content-length");
  return length === undefined ? undefined : { offset: 0, size: Number(length) };
}

function optionalDigest(exchange: Exchange): Digest | undefined {
  const digest = exchange.query.get("digest");
  return digest === null ? undefined : parseRequestDigest(digest);
}

function requestedAlgorithm(exchange: Exchange): DigestAlgorithm | undefined {
  const algorithm = exchange.query.get("digest-algorithm");
  switch (algorithm) {
    case null:
      return undefined;
    case "sha256":
    case "sha384":
    case "sha512":
      return algorithm;
    default:
      throw new RegistryProblem("DIGEST_INVALID", "unsupported digest algorithm", { detail: { algorithm } });
  }
}

function sendCreated(exchange: Exchange, repository: string, digest: Digest): void {
  exchange.sendBytes(201, NO_BYTES, {
    Location: `/v2/${repository}/blobs/${digest}`,
    "Docker-Content-Digest": digest,
  });
}

/** `Range` is inclusive; by convention an upload without bytes says `0-0`, too. */
function uploadHeaders({ repository, id }: UploadKey, size: number): Readonly<Record<string, string>> {
  return {
    Location: `/v2/${repository}/blobs/uploads/${id}`,
    Range: `0-${Math.max(0, size - 1)}`,
    "Docker-Upload-UUID": id,
  } satisfies AnswerHeaders;
}
