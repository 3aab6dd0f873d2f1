/**
 * The layers of an image, as a client tells a snapshotter of them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { parseManifest } from "../../src/oci/index.ts";
import { RegistryClient } from "../../src/registry/index.ts";

/** One layer, the lowest first. */
export interface BaseLayer {
  readonly digest: string;
  readonly tocDigest: string;
  /** Stands for its chain id: a snapshotter takes any name. */
  readonly target: string;
}

/** Reads an image's manifest. */
export async function readBaseLayers(place: {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
}): Promise<readonly BaseLayer[]> {
  await using client = new RegistryClient();
  const { bytes } = await client.repository(place).fetchManifest(place.tag);
  return parseManifest(bytes).layers.map(({ annotations, digest }, at) => ({
    digest,
    tocDigest: annotations?.["containerd.io/snapshot/stargz/toc.digest"] ?? "",
    target: `sha256:${createHash("sha256").update(`${at} ${digest}`).digest("hex")}`,
  }));
}
