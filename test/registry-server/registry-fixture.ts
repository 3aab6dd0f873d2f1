/**
 * Registries to test against, in memory and in directories, and the requests that every test needs.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type RegistryServer,
  type RegistryServerOptions,
  startRegistryServer,
} from "../../src/registry-server/index.ts";

/** A running registry; disposing stops it and removes its directory. */
export interface TestRegistry extends AsyncDisposable {
  readonly server: RegistryServer;
  /** Of the server, without a slash at the end. */
  readonly url: string;
  /** Its directory, where it has one. */
  readonly root: string | undefined;
}

/** The storages that every test of the protocol runs against. */
export const STORAGES = ["memory", "directory"] as const;

/** The media types that the tests use. */
export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
export const INDEX = "application/vnd.oci.image.index.v1+json";
export const CONFIG = "application/vnd.oci.image.config.v1+json";
export const LAYER = "application/vnd.oci.image.layer.v1.tar";

/** Starts a registry. */
export async function startTestRegistry(
  storage: (typeof STORAGES)[number],
  options: RegistryServerOptions = {},
): Promise<TestRegistry> {
  const root = storage === "memory" ? undefined : await mkdtemp(join(tmpdir(), "esgz-registry-"));
  const server = await startRegistryServer({ root, ...options });
  return {
    server,
    url: server.url,
    root,
    async [Symbol.asyncDispose]() {
      await server.close();
      if (root !== undefined) await rm(root, { recursive: true });
    },
  };
}

/** The digest of bytes or text. */
export function digestOf(content: Uint8Array | string, algorithm = "sha256"): string {
  return `${algorithm}:${createHash(algorithm).update(content).digest("hex")}`;
}

/** A descriptor of bytes or text. */
export function describe(mediaType: string, content: string): Record<string, unknown> {
  return { mediaType, digest: digestOf(content), size: Buffer.byteLength(content) };
}

/** Pushes a blob with one request and returns its digest. */
export async function pushBlob(url: string, repository: string, content: string): Promise<string> {
  const digest = digestOf(content);
  const response = await fetch(`${url}/v2/${repository}/blobs/uploads/?digest=${digest}`, {
    method: "POST",
    body: content,
  });
  assert.equal(response.status, 201, await response.text());
  return digest;
}

/** Begins an upload and returns its URL. */
export async function beginUpload(url: string, repository: string): Promise<string> {
  const response = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: "POST" });
  assert.equal(response.status, 202);
  return new URL(response.headers.get("location") ?? "", url).href;
}

/** Pushes a manifest as it stands. */
export async function pushManifest(
  url: string,
  target: { readonly repository: string; readonly reference: string },
  manifest: Record<string, unknown>,
): Promise<Response> {
  return await fetch(`${url}/v2/${target.repository}/manifests/${target.reference}`, {
    method: "PUT",
    body: JSON.stringify(manifest),
    headers: { "content-type": String(manifest["mediaType"]) },
  });
}

/** Pushes an image of one layer and returns its manifest's digest. */
export async function pushImage(
  url: string,
  target: { readonly repository: string; readonly reference: string },
  parts: { readonly layer: string; readonly fields?: Record<string, unknown> },
): Promise<string> {
  await pushBlob(url, target.repository, "{}");
  await pushBlob(url, target.repository, parts.layer);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: describe(CONFIG, "{}"),
    layers: [describe(LAYER, parts.layer)],
    ...parts.fields,
  };
  const response = await pushManifest(url, target, manifest);
  assert.equal(response.status, 201, await response.text());
  assert.equal(response.headers.get("docker-content-digest"), digestOf(JSON.stringify(manifest)));
  return digestOf(JSON.stringify(manifest));
}

/** Asserts a refusal in the protocol's form. */
export async function assertProblem(response: Response, status: number, code: string): Promise<void> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const body = JSON.parse(text) as {
    readonly errors: readonly { readonly code: string; readonly message: string }[];
  };
  assert.equal(body.errors[0]?.code, code);
  assert.ok((body.errors[0]?.message.length ?? 0) > 0);
}
