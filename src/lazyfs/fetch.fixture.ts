/**
 * For tests: layers in a registry behind a proxy that misbehaves as it is told, and fetchers for them.
 *
 * @module
 */
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Clock, systemClock } from "../async/index.ts";
import { MemoryBlob } from "../blob/index.ts";
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { createCompressor, openArchive, writeArchive } from "../estargz/index.ts";
import type { Digest } from "../oci/index.ts";
import { RegistryClient } from "../registry/index.ts";
import { startRegistryServer } from "../registry-server/index.ts";
import {
  type Layer,
  type LayerHandle,
  type LayerSource,
  openStore,
  type Store,
  type StoreOptions,
} from "../store/index.ts";
import { eventsOf, type FileSpec, tarOf } from "../tar/make-tar.fixture.ts";
import { compileLayerArchive } from "./compile-layer-archive.ts";
import type { FetchEvent } from "./fetch-report.ts";
import type { FetchTuning } from "./fetch-tuning.ts";
import { sha256, temporaryStore } from "./image.fixture.ts";
import { LayerFetcher, type LayerFetcherOptions } from "./layer-fetcher.ts";

/** A blob with what its data device must hold. */
export interface FetchSample {
  readonly digest: Digest;
  readonly blob: Uint8Array;
  readonly compiled: ReturnType<typeof compileLayerArchive>;
  readonly source: LayerSource;
  /** The right bytes of the data device, from the contents of the files. */
  readonly device: Uint8Array;
}

/** What the proxy does to one range. */
export type Fault =
  /** Breaks the connection after so many bytes, when the promise resolves. */
  | { readonly kind: "reset"; readonly after: number; readonly until?: Promise<unknown> }
  /** Says that this is all. */
  | { readonly kind: "short"; readonly after: number }
  /** Sends the rest only when the promise resolves. */
  | { readonly kind: "hold"; readonly after: number; readonly until: Promise<unknown> }
  /** Sends the rest byte by byte, with a pause before each, until the client goes away. */
  | { readonly kind: "crawl"; readonly after: number; readonly pauseMs: number }
  /** Changes the byte at a blob offset, if it is in the range. */
  | { readonly kind: "flip"; readonly blobOffset: number }
  | { readonly kind: "status"; readonly status: number };

/** A range that somebody asked for. */
export interface AskedRange {
  readonly offset: number;
  readonly size: number;
}

/** A registry behind a proxy. */
export interface FaultyRegistry {
  readonly host: string;
  readonly client: RegistryClient;
  /** Ranges of blobs in the order of the requests. */
  readonly asked: AskedRange[];
  /** Bytes of blobs that were sent. */
  sentBytes: number;
  /** Decides about a request; none by default. */
  faultOf: (range: AskedRange, number: number) => Fault | undefined;
}

/** How to make a sample. */
export interface SampleOptions {
  readonly chunkSize?: number;
  readonly prefetchSize?: number;
  readonly format?: "estargz" | "zstd:chunked";
  /** Files up to this size share members. */
  readonly minChunkSize?: number;
}

/** A layer of files with these contents. */
export async function fetchSample(
  contents: readonly Uint8Array[],
  options: SampleOptions = {},
): Promise<FetchSample> {
  const files = contents.map((content, at) => ({ name: `f${String(at).padStart(4, "0")}`, content }));
  return await fetchSampleOf(files, options);
}

/** A layer of files. */
export async function fetchSampleOf(
  files: readonly FileSpec[],
  options: SampleOptions = {},
): Promise<FetchSample> {
  const { chunkSize = 64 << 10, prefetchSize = 0, format = "estargz" } = options;
  const blob = await archiveOf(tarOf(files), { chunkSize, format, minChunkSize: options.minChunkSize });
  const mediaType = `application/vnd.oci.image.layer.v1.tar+${format === "estargz" ? "gzip" : "zstd"}`;
  const found = await openArchive(new MemoryBlob(blob));
  const compiled = compileLayerArchive(found.verify(found.tocDigest));
  const chunks = new Map<string, Uint8Array>();
  for (const { content = "" } of files) {
    const bytes = typeof content === "string" ? encodeUtf8(content) : content;
    for (let at = 0; at < bytes.length; at += chunkSize) {
      const chunk = bytes.subarray(at, at + chunkSize);
      chunks.set(sha256(chunk), chunk);
    }
  }
  const device = new Uint8Array(compiled.dataSize);
  for (const { place, digest } of compiled.rows) {
    device.set(chunks.get(`sha256:${Buffer.from(digest).toString("hex")}`) ?? [], place);
  }
  const source: LayerSource = {
    mediaType,
    blobSize: blob.length,
    compression: format === "estargz" ? "gzip" : "zstd",
    tocDigest: found.tocDigest,
    prefetchSize,
    locations: [],
    blobVerified: false,
  };
  return { digest: sha256(blob), blob, compiled, source, device };
}

async function archiveOf(
  tar: Uint8Array,
  options: {
    readonly chunkSize: number;
    readonly format: "estargz" | "zstd:chunked";
    readonly minChunkSize: number | undefined;
  },
): Promise<Uint8Array> {
  const compressor = createCompressor(options.format === "estargz" ? "zlib" : "zstd");
  const common = { compressor, level: 1, landmark: "no-prefetch", jobs: 1 } as const;
  return concatBytes(await Array.fromAsync(writeArchive(eventsOf(tar), { ...common, ...options })));
}

/** Puts a sample into a store. */
export async function createSampleLayer(store: Store, sample: FetchSample): Promise<LayerHandle> {
  const { meta, rows, dataSize } = sample.compiled;
  const { source, digest } = sample;
  return await store.createLayer(digest, { meta, chunks: { rows, dataSize }, source });
}

/** Bytes that compress to about a half, the same for the same seed. */
export function halfNoise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let at = 0; at < size; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 15;
  }
  return bytes;
}

/** Serves blobs through a proxy until the test ends. */
export async function serveFaulty(t: TestContext, samples: readonly FetchSample[]): Promise<FaultyRegistry> {
  const server = await startRegistryServer({});
  t.after(() => server.close());
  const direct = new RegistryClient();
  const upstream = `127.0.0.1:${server.port}`;
  const repository = direct.repository({ registry: upstream, repository: "test/image" });
  for (const { blob } of samples) await repository.pushBlob(blob);
  await direct.close();
  const proxy = createServer((request, response) => {
    void forward(request, response).catch(() => response.destroy());
  });
  const listening = Promise.withResolvers<void>();
  proxy.listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const client = new RegistryClient({
    retryPolicy: { attempts: 1, firstDelayMs: 1, maxDelayMs: 1, deadlineMs: 1000 },
  });
  t.after(() => client.close());
  const host = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const registry: FaultyRegistry = { host, client, asked: [], sentBytes: 0, faultOf: () => undefined };
  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await ask(`http://${upstream}${request.url ?? ""}`, request);
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    if (range === null) {
      response.writeHead(answer.status, answer.headers).end(answer.body);
      return;
    }
    const [offset, last] = [Number(range[1]), Number(range[2])];
    const asked = { offset, size: last - offset + 1 };
    registry.asked.push(asked);
    const fault = registry.faultOf(asked, registry.asked.length);
    await respond(response, { answer, asked, fault, registry });
  };
  return registry;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Uint8Array;
}

async function ask(url: string, { method, headers }: IncomingMessage): Promise<Answer> {
  const arrived = Promise.withResolvers<IncomingMessage>();
  const outgoing = httpRequest(url, { method, headers, agent: false }, arrived.resolve);
  outgoing.on("error", arrived.reject).end();
  const message = await arrived.promise;
  const body = concatBytes((await Array.fromAsync(message)) as Uint8Array[]);
  const { connection: _, "keep-alive": __, ...kept } = message.headers;
  return { status: message.statusCode ?? 500, headers: kept, body };
}

async function respond(
  response: ServerResponse,
  options: {
    readonly answer: Answer;
    readonly asked: AskedRange;
    readonly fault: Fault | undefined;
    readonly registry: FaultyRegistry;
  },
): Promise<void> {
  const { answer, asked, fault, registry } = options;
  if (fault?.kind === "status") {
    response.writeHead(fault.status).end();
    return;
  }
  const body = Uint8Array.from(answer.body);
  if (fault?.kind === "flip") {
    const at = fault.blobOffset - asked.offset;
    if (at >= 0 && at < body.length) body[at] = (body[at] ?? 0) ^ 0xff;
  }
  const { "content-length": length, ...headers } = answer.headers;
  response.writeHead(
    answer.status,
    fault?.kind === "short" ? headers : { ...headers, "content-length": length },
  );
  const first = fault !== undefined && "after" in fault ? body.subarray(0, fault.after) : body;
  registry.sentBytes += first.length;
  const written = Promise.withResolvers<unknown>();
  response.write(first, written.resolve);
  await written.promise;
  if (fault?.kind === "reset") {
    await fault.until;
    response.destroy();
  } else if (fault?.kind === "hold") {
    await fault.until;
    registry.sentBytes += body.length - fault.after;
    response.end(body.subarray(fault.after));
  } else if (fault?.kind === "crawl") {
    for (let at = fault.after; at < body.length && !response.destroyed; at += 1) {
      response.write(body.subarray(at, at + 1));
      await sleep(fault.pauseMs);
    }
    response.end();
  } else response.end();
}

/** A fetcher with a store and one layer for each sample. */
export interface FetchBench extends AsyncDisposable {
  readonly store: Store;
  readonly layers: readonly Layer[];
  readonly fetcher: LayerFetcher;
  readonly events: FetchEvent[];
  /** Blobs that were opened. */
  readonly opened: Layer[];
}

/** Opens a store, puts samples into it, and fetches from a registry. To be disposed of before the test ends. */
export async function openFetchBench(
  t: TestContext,
  samples: readonly FetchSample[],
  options: {
    readonly registry: FaultyRegistry;
    readonly tuning?: Partial<FetchTuning>;
    readonly store?: Partial<StoreOptions>;
    /** Where the store is; default: a directory of its own. */
    readonly root?: string;
    /** What transfers are timed with. */
    readonly clock?: Clock;
    readonly openBlob?: LayerFetcherOptions["openBlob"];
  },
): Promise<FetchBench> {
  const { registry } = options;
  const store =
    options.root === undefined
      ? await temporaryStore(t, options.store)
      : await openStore(options.root, { clock: systemClock, pid: process.pid, ...options.store });
  const events: FetchEvent[] = [];
  const opened: Layer[] = [];
  const repository = registry.client.repository({ registry: registry.host, repository: "test/image" });
  const fetcher = new LayerFetcher({
    store,
    clock: options.clock ?? systemClock,
    random: () => 0,
    jobs: 1,
    openBlob: async (layer, readOptions) => {
      opened.push(layer);
      await Promise.resolve();
      return (
        options.openBlob?.(layer, readOptions) ??
        repository.openBlob({ digest: layer.digest, size: layer.source.blobSize })
      );
    },
    tuning: options.tuning,
    onEvent: (event) => events.push(event),
  });
  const handles: LayerHandle[] = [];
  for (const sample of samples) handles.push(await createSampleLayer(store, sample));
  const close = async (): Promise<void> => {
    await fetcher.close();
    for (const handle of handles) await handle.close();
    await store.close();
  };
  const layers = handles.map(({ layer }) => layer);
  return { store, layers, fetcher, events, opened, [Symbol.asyncDispose]: close };
}
