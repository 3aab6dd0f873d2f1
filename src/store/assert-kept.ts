/**
 * A layer that a lease holds stays what it is.
 *
 * @module
 */
import { hash } from "node:crypto";
import type { Digest } from "../oci/index.ts";
import { type LayerContext, readSource } from "./layer-files.ts";
import { layerInUse } from "./store-error.ts";
import type { LayerPaths } from "./store-layout.ts";

/** Which layer, and what is to be put in its place. */
export interface NewInPlace {
  readonly digest: Digest;
  /** Where the layer is, or was. */
  readonly paths: LayerPaths;
  readonly meta: Uint8Array;
}

/**
 * Checks that a leased layer which is damaged or gone becomes no other: mounts may stand that look for its files where they were,
 * and another image's table of contents puts what it likes there.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`
 */
export async function assertKept(
  { digest, paths, meta }: NewInPlace,
  context: Pick<LayerContext, "isPinned" | "pinnedMetas">,
): Promise<void> {
  if (!context.isPinned(digest)) return;
  const pinned = context.pinnedMetas(digest);
  const known = pinned.length > 0 ? pinned : await recordedMetas(paths);
  if (known.length > 0 && !known.includes(`sha256:${hash("sha256", meta)}`)) throw layerInUse(digest);
}

/** What the layer's own files say, for leases that say nothing. */
async function recordedMetas(paths: LayerPaths): Promise<readonly Digest[]> {
  const record = await readSource(paths).catch(() => undefined);
  return record === undefined ? [] : [record.metaDigest];
}
