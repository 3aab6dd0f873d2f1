/**
 * Practice for a daemon that has nothing to do yet: a made-up image is started, from a registry of its own on the loopback to
 * reads of its files. The first real image finds modules loaded and code compiled.
 *
 * @module
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { mapConcurrent, systemClock } from "../async/index.ts";
import { MemoryBlob } from "../blob/index.ts";
import { openArchive } from "../estargz/index.ts";
import { openImageSource } from "../image/index.ts";
import {
  type FetchWorkers,
  LayerFetcher,
  makePracticeLayer,
  type PreparationThreads,
  type PreparedImage,
  prepareImage,
} from "../lazyfs/index.ts";
import { ANNOTATIONS, encodeManifest, type ImageReference, MEDIA_TYPES } from "../oci/index.ts";
import type { RegistryClient, Repository } from "../registry/index.ts";
import { type ChunkRow, openStore, type Store } from "../store/index.ts";
import { openRegistryClient } from "./registry-access.ts";

/** Where to practise. */
export interface RehearseStartOptions {
  /** A directory for the while; what is there is removed. */
  readonly directory: string;
  /** What practises, too. */
  readonly workers: FetchWorkers;
  readonly preparation: PreparationThreads;
  readonly signal: AbortSignal;
}

const REPOSITORY = "practice/image";
const TAG = "latest";
const PLATFORM = { os: "linux", architecture: "amd64" };
/** Each file is fetched by a read of its own, as a start does it. */
const FILES = 150;
const FILE_SIZE = 6000;

/**
 * Practises once: some tenths of a second of one processor, in short turns.
 *
 * @throws {EsgzError} `IO_FAILED`, `NO_SPACE`, `NETWORK_FAILED`; the signal's reason. Nobody is worse off then.
 */
export async function rehearseStart(options: RehearseStartOptions): Promise<void> {
  const { directory, signal } = options;
  await rm(directory, { recursive: true, force: true });
  try {
    const { startRegistryServer } = await import("../registry-server/index.ts");
    await using server = await startRegistryServer({ signal });
    await using client = await openRegistryClient({ home: directory, variables: {} }, {}, ANONYMOUS);
    const registry = `127.0.0.1:${server.port}`;
    const reference: ImageReference = { registry, repository: REPOSITORY, tag: TAG };
    await pushImage(client.repository(reference), signal);
    const store = await openStore(join(directory, "store"), { clock: systemClock, pid: process.pid });
    try {
      await start(reference, { ...options, client, store });
    } finally {
      await store.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const ANONYMOUS = { credentials: { credentialFor: () => Promise.resolve(undefined) } };

/** Pushes an image of one seekable layer. */
async function pushImage(repository: Repository, signal: AbortSignal): Promise<void> {
  const bytes = await makePracticeLayer({ files: FILES, fileSize: FILE_SIZE, apart: true });
  using archive = await openArchive(new MemoryBlob(bytes));
  const layer = await repository.pushBlob(bytes, { signal });
  const rootfs = { type: "layers", diff_ids: [layer.digest] } as const;
  const config = await repository.pushBlob(encodeManifest({ ...PLATFORM, rootfs, config: {} }), { signal });
  const annotations = { [ANNOTATIONS.tocDigest]: archive.tocDigest };
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
    layers: [{ mediaType: MEDIA_TYPES.ociLayerGzip, ...layer, annotations }],
  });
  await repository.pushManifest(manifest, { mediaType: MEDIA_TYPES.ociManifest, reference: TAG, signal });
}

async function start(
  reference: ImageReference,
  options: Omit<RehearseStartOptions, "directory"> & {
    readonly client: RegistryClient;
    readonly store: Store;
  },
): Promise<void> {
  const { client, store, workers, preparation: threads, signal } = options;
  await using source = await openImageSource({ kind: "registry", reference }, { registry: client, signal });
  const name = `${reference.registry}/${reference.repository}:${TAG}`;
  const settings = { platform: PLATFORM, whole: "never" } as const;
  await using image = await prepareImage(source, { ...settings, store, threads, name, signal });
  await using fetcher = new LayerFetcher({
    store,
    clock: systemClock,
    random: Math.random,
    jobs: workers.size,
    workers,
    openBlob: ({ digest, source: { blobSize: size } }) =>
      Promise.resolve(client.repository(reference).openBlob({ digest, size })),
    // Each read brings what it asks for, and nothing along with it.
    tuning: { readAheadMin: 0, readAheadMax: 0 },
  });
  await readAll(image, fetcher, signal);
}

/** Reads all chunks, those behind first: no sequence is followed. All threads have something to do. */
async function readAll(image: PreparedImage, fetcher: LayerFetcher, signal: AbortSignal): Promise<void> {
  const concurrency = fetcher.workers.size;
  for (const { handle } of image.layers) {
    const { layer } = handle;
    const chunks = Array.from({ length: layer.chunkCount }, (_, at) => layer.chunk(at)).toReversed();
    const read = async ({ place, size }: ChunkRow): Promise<void> =>
      void (await fetcher.read(layer, { offset: place, size }, { signal }));
    await mapConcurrent(chunks, read, { concurrency, signal });
    await fetcher.release(layer);
  }
}
