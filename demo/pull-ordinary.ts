/**
 * The pull that everybody knows: one layer after another, each downloaded and unpacked by tar as it arrives.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { request } from "undici";
import { parseManifest } from "../src/oci/index.ts";

/** An image in a registry without TLS. */
export interface OrdinaryImage {
  /** Host and port. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
}

/** Pulls an image of gzip layers to a directory with nothing but HTTP and tar. */
export async function pullOrdinary(
  image: OrdinaryImage,
  options: { readonly directory: string; readonly signal: AbortSignal },
): Promise<void> {
  const base = `http://${image.registry}/v2/${image.repository}`;
  const accept =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
  const answer = await request(`${base}/manifests/${image.tag}`, {
    headers: { accept },
    signal: options.signal,
  });
  const manifest = parseManifest(new Uint8Array(await answer.body.arrayBuffer()));
  mkdirSync(options.directory, { recursive: true });
  for (const { digest } of manifest.layers) {
    const { body } = await request(`${base}/blobs/${digest}`, { signal: options.signal });
    const tar = spawn("tar", ["-C", options.directory, "-xzpf", "-"], {
      stdio: ["pipe", "ignore", "inherit"],
    });
    const ended = new Promise<number | null>((resolve, reject) =>
      tar.once("error", reject).once("close", resolve),
    );
    await pipeline(body, tar.stdin, { signal: options.signal });
    const status = await ended;
    if (status !== 0) throw new Error(`Cannot unpack layer ${digest}: tar ended with ${status}`);
  }
}
