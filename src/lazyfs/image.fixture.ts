/**
 * For tests: images of a few files, in a registry on loopback, and stores to prepare them in.
 *
 * @module
 */
import { hash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { systemClock } from "../async/index.ts";
import { MemoryBlob } from "../blob/index.ts";
import { concatBytes } from "../bytes/index.ts";
import { type Archive, createCompressor, openArchive, writeArchive } from "../estargz/index.ts";
import { type ImageSource, openImageSource } from "../image/index.ts";
import { type AnnotationMap, type Digest, encodeManifest, MEDIA_TYPES, type Platform } from "../oci/index.ts";
import { RegistryClient, type Repository } from "../registry/index.ts";
import { type RegistryServer, type RequestInfo, startRegistryServer } from "../registry-server/index.ts";
import { openStore, type Store, type StoreOptions } from "../store/index.ts";
import { eventsOf } from "../tar/make-tar.fixture.ts";

/** A layer's blob with what a manifest says of it. */
export interface LayerBlob {
  readonly blob: Uint8Array;
  /** The digest of the tar in it. */
  readonly diffId: Digest;
  readonly annotations?: AnnotationMap;
  readonly mediaType: string;
}

/** The platform of all images here. */
export const PLATFORM: Platform = { os: "linux", architecture: "amd64" };

/** The sha256 digest of bytes. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${hash("sha256", bytes)}`;
}

/** An eStargz layer of a tar. */
export async function estargzOf(
  tar: Uint8Array,
  options: { readonly chunkSize?: number; readonly format?: "estargz" | "zstd:chunked" } = {},
): Promise<LayerBlob> {
  const { chunkSize = 4 << 20, format = "estargz" } = options;
  const compressor = createCompressor(format === "estargz" ? "zlib" : "zstd");
  const common = { compressor, level: 1, chunkSize, landmark: "no-prefetch", jobs: 1 } as const;
  const archive = writeArchive(eventsOf(tar), { ...common, format });
  const blob = concatBytes(await Array.fromAsync(archive));
  const { annotations, diffId } = await archive.summary;
  const mediaType = format === "estargz" ? MEDIA_TYPES.ociLayerGzip : MEDIA_TYPES.ociLayerZstd;
  return { blob, diffId, annotations: { ...annotations }, mediaType };
}

/** A verified archive of a tar. */
export async function archiveOf(
  tar: Uint8Array,
  options: { readonly chunkSize?: number } = {},
): Promise<Archive> {
  const { blob } = await estargzOf(tar, options);
  const found = await openArchive(new MemoryBlob(blob));
  return found.verify(found.tocDigest);
}

/** An ordinary layer of a tar. */
export function plainOf(tar: Uint8Array): LayerBlob {
  return { blob: gzipSync(tar, { level: 1 }), diffId: sha256(tar), mediaType: MEDIA_TYPES.ociLayerGzip };
}

/** A registry with one image. */
export interface ServedImage {
  readonly server: RegistryServer;
  readonly client: RegistryClient;
  readonly source: ImageSource;
  /** `127.0.0.1:PORT/test/image:latest` */
  readonly name: string;
  readonly manifest: Digest;
  /** What was asked for so far, oldest first. */
  readonly requests: RequestInfo[];
}

/** Serves an image of these layers until the test ends. */
export async function serveImage(
  t: TestContext,
  layers: readonly LayerBlob[],
  options: { readonly run?: Readonly<Record<string, unknown>> } = {},
): Promise<ServedImage> {
  const requests: RequestInfo[] = [];
  const server = await startRegistryServer({ onRequest: (info) => requests.push(info) });
  t.after(() => server.close());
  const client = new RegistryClient();
  t.after(() => client.close());
  const registry = `127.0.0.1:${server.port}`;
  const repository = client.repository({ registry, repository: "test/image" });
  const manifest = await pushImage(repository, { layers, tag: "latest", ...options });
  const name = `${registry}/test/image:latest`;
  const source = await openImageSource(name, { registry: client });
  requests.length = 0;
  return { server, client, source, name, manifest, requests };
}

/** Pushes an image of these layers; resolves with the digest of its manifest. */
export async function pushImage(
  repository: Repository,
  image: {
    readonly layers: readonly LayerBlob[];
    readonly tag: string;
    /** Default {@linkcode PLATFORM}. */
    readonly platform?: Platform;
    /** What containers of it are to run, as the image's config says it. */
    readonly run?: Readonly<Record<string, unknown>>;
  },
): Promise<Digest> {
  const { layers, tag, platform = PLATFORM, run } = image;
  for (const { blob } of layers) await repository.pushBlob(blob);
  const config = encodeManifest({
    architecture: platform.architecture,
    os: platform.os,
    ...(run === undefined ? {} : { config: run }),
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  await repository.pushBlob(config);
  const mediaType = MEDIA_TYPES.ociManifest;
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length },
    layers: layers.map(({ blob, annotations, mediaType: type }) => ({
      mediaType: type,
      digest: sha256(blob),
      size: blob.length,
      ...(annotations === undefined ? {} : { annotations }),
    })),
  });
  await repository.pushManifest(manifest, { mediaType, reference: tag });
  return sha256(manifest);
}

/** An empty store that is closed and removed when the test ends. */
export async function temporaryStore(t: TestContext, options: Partial<StoreOptions> = {}): Promise<Store> {
  const root = await mkdtemp(join(tmpdir(), "esgz-lazyfs-"));
  const store = await openStore(root, { clock: systemClock, pid: process.pid, ...options });
  t.after(async () => {
    await store.close();
    await rm(root, { recursive: true, force: true });
  });
  return store;
}
