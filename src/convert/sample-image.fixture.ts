/**
 * Images for tests, made byte by byte, and places to put them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { encodeUtf8 } from "../bytes/index.ts";
import {
  type ImageDestination,
  type ImageSource,
  openImageDestination,
  openImageSource,
} from "../image/index.ts";
import {
  type Descriptor,
  type Digest,
  type LayerCompression,
  type ManifestContent,
  layerMediaType,
  MEDIA_TYPES,
  type MediaTypeFamily,
} from "../oci/index.ts";
import { RegistryClient } from "../registry/index.ts";
import { type RequestInfo, startRegistryServer } from "../registry-server/index.ts";
import { END_OF_ARCHIVE } from "../tar/index.ts";
import { tarOf as tarOfSpecs } from "../tar/make-tar.fixture.ts";
import { convertImage } from "./convert-image.ts";
import type { ConvertOptions } from "./convert-options.ts";
import type { ConvertReport } from "./convert-report.ts";

/** The tar of the vectors: 337 entries of every kind. */
export const EVERYTHING: URL = new URL("../../test/vectors/everything.tar", import.meta.url);

/** A layer before it is stored. */
export interface SampleLayer {
  readonly tar: Uint8Array;
  readonly compression: LayerCompression;
}

/** The digest of bytes. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A tar of regular files (text by path) with its end; hard links are `{ link }`. */
export function tarOf(files: Readonly<Record<string, string | { readonly link: string }>>): Uint8Array {
  const specs = Object.entries(files).map(([name, content]) => {
    const linked = typeof content !== "string";
    return {
      name,
      mode: 0o644,
      ...(linked ? { type: "hardlink" as const, linkName: content.link } : { content }),
    };
  });
  return tarOfSpecs(specs);
}

/** Layers of each compression: the vectors' tar, a small one, an empty one, and the small one again. */
export async function sampleLayers(): Promise<readonly SampleLayer[]> {
  const small = tarOf({
    "app/": "",
    "app/main": "#!/bin/sh\necho hello\n",
    "app/data": "0123456789".repeat(30_000),
    "app/copy": { link: "app/data" },
  });
  return [
    { tar: await readFile(EVERYTHING), compression: "gzip" },
    { tar: small, compression: "zstd" },
    { tar: END_OF_ARCHIVE, compression: "uncompressed" },
    { tar: small, compression: "zstd" },
  ];
}

/** What {@linkcode writeSampleImage} varies. */
export interface SampleImageOptions {
  readonly layers: readonly SampleLayer[];
  readonly family?: MediaTypeFamily;
  readonly architecture?: string;
  /** More layers, with the diff ids given for them; their blobs are not written. */
  readonly foreign?: readonly { readonly descriptor: Descriptor; readonly diffId: Digest }[];
}

/** Writes an image without giving it a name. Its config and manifest have fields that no specification knows. */
export async function writeSampleImage(
  destination: ImageDestination,
  options: SampleImageOptions,
): Promise<Descriptor> {
  const { family = "oci", foreign = [], architecture = "amd64" } = options;
  const layers: Descriptor[] = foreign.map(({ descriptor }) => descriptor);
  for (const layer of options.layers) {
    const blob = await destination.writeBlob(compress(layer));
    const mediaType = layerMediaType(family, layer.compression);
    layers.push({ mediaType, ...blob, annotations: { "org.example.layer": String(layers.length) } });
  }
  const diffIds = [...foreign.map(({ diffId }) => diffId), ...options.layers.map(({ tar }) => sha256(tar))];
  const config = await destination.writeBlob(encodeUtf8(JSON.stringify(configOf(diffIds, architecture))));
  const oci = family === "oci";
  const mediaType = oci ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.dockerManifest;
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: oci ? MEDIA_TYPES.ociConfig : MEDIA_TYPES.dockerConfig, ...config },
    layers,
    annotations: { "org.example.image": "sample" },
    "x-unknown": true,
  };
  return await destination.writeManifest({ bytes: encodeUtf8(JSON.stringify(manifest)), mediaType });
}

function configOf(diffIds: readonly Digest[], architecture: string): object {
  return {
    "x-first": { b: 1, a: 2 },
    architecture,
    os: "linux",
    config: { Cmd: ["/app/main"], Env: ["PATH=/bin"], Healthcheck: { Interval: 30_000_000_000 } },
    rootfs: { type: "layers", diff_ids: diffIds },
    history: [...diffIds.map(() => ({ created_by: "test" })), { created_by: "nothing", empty_layer: true }],
    "moby.buildkit.cache.v0": "e30=",
  };
}

function compress({ tar, compression }: SampleLayer): Uint8Array {
  if (compression === "gzip") return gzipSync(tar);
  return compression === "zstd" ? zstdCompressSync(tar) : tar;
}

/** A registry in memory with a client, and a directory; all gone when disposed. */
export class Workshop implements AsyncDisposable {
  readonly requests: RequestInfo[] = [];
  readonly directory: string;
  readonly client: RegistryClient = new RegistryClient();
  readonly #server: Awaited<ReturnType<typeof startRegistryServer>>;

  private constructor(options: {
    directory: string;
    server: Awaited<ReturnType<typeof startRegistryServer>>;
    requests: RequestInfo[];
  }) {
    this.directory = options.directory;
    this.requests = options.requests;
    this.#server = options.server;
  }

  /** Opens a workshop. */
  static async open(): Promise<Workshop> {
    const requests: RequestInfo[] = [];
    const server = await startRegistryServer({ onRequest: (info) => requests.push(info) });
    const directory = await mkdtemp(join(tmpdir(), "esgz-convert-test-"));
    return new Workshop({ directory, server, requests });
  }

  /** The name of an image in the registry. */
  image(repository: string, tag = "1"): string {
    return `127.0.0.1:${this.#server.port}/${repository}:${tag}`;
  }

  /** The name of an image in an OCI layout. */
  layout(name: string, tag = "1"): string {
    return `oci:${join(this.directory, name)}:${tag}`;
  }

  /** Opens an image for reading; it lives as long as the workshop. */
  async source(name: string): Promise<ImageSource> {
    return await openImageSource(name, { registry: this.client });
  }

  /** Opens an image for writing; the caller disposes it. */
  async destination(name: string): Promise<ImageDestination> {
    return await openImageDestination(name, { registry: this.client });
  }

  /** Writes a sample image under a name. */
  async makeImage(name: string, options: SampleImageOptions): Promise<Descriptor> {
    await using destination = await this.destination(name);
    const root = await writeSampleImage(destination, options);
    await destination.publish(root);
    return root;
  }

  /** Converts from one name to another; the TOC image, where one is asked for, gets its usual name. */
  async convert(from: string, to: string, changes: Partial<ConvertOptions> = {}): Promise<ConvertReport> {
    await using source = await this.source(from);
    await using destination = await this.destination(to);
    return await convertImage(source, destination, {
      format: "estargz",
      jobs: 2,
      temporaryDirectory: this.directory,
      openTocDestination: () => this.destination(`${to}-esgztoc`),
      ...changes,
    });
  }

  /** What a name points to. */
  async rootOf(name: string): Promise<ManifestContent> {
    await using source = await this.source(name);
    return await source.fetchRoot();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.#server.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}
