/**
 * A layer that a lease holds stays what it is.
 *
 * @module
 */
import { hash } from "node:crypto";
import type { Digest } from "../oci/index.ts";
import type { ChunkTableLimits } from "./chunk-table-limits.ts";
import type { LayerContext } from "./layer-files.ts";
import { identityOf, type LayerIdentity, type LayerSource } from "./layer-source.ts";
import { readSource } from "./read-source.ts";
import { layerInUse } from "./store-error.ts";
import type { LayerPaths } from "./store-layout.ts";

/** Which layer, and what is to be put in its place. */
export interface NewInPlace {
  readonly digest: Digest;
  /** Where the layer is, or was. */
  readonly paths: LayerPaths;
  readonly meta: Uint8Array;
  readonly source: LayerSource;
}

/**
 * Checks that a leased layer which is damaged or gone becomes no other: mounts may stand that look for its files where they were,
 * and another image's table of contents puts there what it likes.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`
 */
export async function assertKept(
  { digest, paths, meta, source }: NewInPlace,
  context: Pick<LayerContext, "isPinned" | "pinnedAs" | "limits">,
): Promise<void> {
  if (!context.isPinned(digest)) return;
  const pinned = context.pinnedAs(digest);
  const known = pinned.length > 0 ? pinned : await recordedIdentities(paths, context.limits);
  if (known.length === 0) return;
  const metaDigest: Digest = `sha256:${hash("sha256", meta)}`;
  if (!known.some((identity) => isSame(identity, { metaDigest, source }))) throw layerInUse(digest);
}

/** What was made from the whole blob has the right bytes, whatever a table of contents says of them. */
function isSame(
  known: LayerIdentity,
  { metaDigest, source }: { readonly metaDigest: Digest; readonly source: LayerSource },
): boolean {
  const isWhole = source.tocDigest === undefined && source.blobVerified;
  return known.metaDigest === metaDigest && (isWhole || known.tocDigest === source.tocDigest);
}

/** What the layer's own files say, for leases that say nothing. */
async function recordedIdentities(
  paths: LayerPaths,
  limits: ChunkTableLimits,
): Promise<readonly LayerIdentity[]> {
  const record = await readSource(paths, limits).catch(() => undefined);
  return record === undefined ? [] : [identityOf(record)];
}
