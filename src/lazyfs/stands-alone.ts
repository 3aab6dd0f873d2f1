/**
 * Whether a layer can be shown without those below it.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Layer } from "../store/index.ts";
import { readAtRoot } from "./layer-root.ts";
import { hasLinksMark } from "./overlay-names.ts";

/**
 * Refuses a layer that has hard links to files of layers below: only the merged image has those files under these names. A
 * layer from a table of contents never has such links.
 *
 * @throws {EsgzError} `NOT_SUPPORTED`; `EROFS_INVALID`
 */
export function assertStandsAlone({
  digest,
  metaPath,
  source,
}: Pick<Layer, "digest" | "metaPath" | "source">): void {
  if (source.tocDigest !== undefined) return;
  if (!readAtRoot(metaPath, (reader) => hasLinksMark(reader.xattrs(reader.rootNid)))) return;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot show layer ${digest} by itself: expected all of its files in it, got hard links to files of layers below, which only the merged image can show`,
  );
}
