/**
 * For tests: images made of layers, in a real registry on loopback.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ImageSource, openImageSource } from "../image/index.ts";
import { type Descriptor, type Digest, encodeManifest, MEDIA_TYPES } from "../oci/index.ts";
import { RegistryClient } from "../registry/index.ts";
import { type RegistryServer, type RequestInfo, startRegistryServer } from "../registry-server/index.ts";

/** A layer to serve. */
export interface ServedLayer {
  readonly blob: Uint8Array;
  readonly mediaType: string;
  readonly diffId: Digest;
  readonly annotations?: Readonly<Record<string, string>>;
  /** A digest that the manifest states instead of the right one. */
  readonly digest?: Digest;
}

/** An image being served. */
export interface ServedImage extends AsyncDisposable {
  readonly server: RegistryServer;
  readonly source: ImageSource;
  /** `127.0.0.1:PORT/test/image:latest` */
  readonly name: string;
  /** What was asked for so far. */
  readonly requests: RequestInfo[];
  readonly manifestDigest: Digest;
  /** A new directory, removed with the image. */
  readonly directory: string;
  readonly platform: { readonly os: "linux"; readonly architecture: "amd64" };
}

/** The sha256 digest of bytes. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Serves an image of these layers. */
export async function serveImage(layers: readonly ServedLayer[]): Promise<ServedImage> {
  const requests: RequestInfo[] = [];
  const server = await startRegistryServer({ onRequest: (info) => requests.push(info) });
  const directory = await mkdtemp(join(tmpdir(), "esgz-pull-"));
  const client = new RegistryClient();
  const registry = `127.0.0.1:${server.port}`;
  const repository = client.repository({ registry, repository: "test/image" });
  for (const { blob } of layers) await repository.pushBlob(blob);
  const config = encodeManifest({
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  });
  await repository.pushBlob(config);
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: sha256(config), size: config.length },
    layers: layers.map(descriptorOf),
  });
  await repository.pushManifest(manifest, { mediaType: MEDIA_TYPES.ociManifest, reference: "latest" });
  const name = `${registry}/test/image:latest`;
  const source = await openImageSource(name, { registry: client });
  requests.length = 0;
  return {
    server,
    source,
    name,
    requests,
    manifestDigest: sha256(manifest),
    directory,
    platform: { os: "linux", architecture: "amd64" },
    [Symbol.asyncDispose]: async () => {
      await source[Symbol.asyncDispose]();
      await client.close();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function descriptorOf({ blob, mediaType, annotations, digest }: ServedLayer): Descriptor {
  return {
    mediaType,
    digest: digest ?? sha256(blob),
    size: blob.length,
    ...(annotations === undefined ? {} : { annotations }),
  };
}
