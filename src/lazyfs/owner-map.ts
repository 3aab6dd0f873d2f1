/**
 * Whom the files of an image belong to where not all user ids can be used.
 *
 * A user without privileges has one id, or a range that `/etc/subuid` lends, and a user namespace has those of its map. What
 * an image gives to somebody else is shown as its root's, so that it can be used at all.
 *
 * @module
 */
import { createSingleIdMapping, hasAllIds, type IdRange, readOwnMapping } from "../runtime/index.ts";

/** Which ids there are; others are shown as the first of them. At least one range each. */
export interface OwnerMap {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** What an id of an image is shown as. */
export function mapId(id: number, ranges: readonly IdRange[]): number {
  for (const { inside, outside, count } of ranges) {
    if (id >= inside && id < inside + count) return outside + (id - inside);
  }
  return ranges[0]?.outside ?? id;
}

/**
 * The map of a process: undefined for the machine's root, which can use all ids. A user's root is the user; in a user namespace
 * the ids of its map are themselves.
 */
export async function readOwnerMap(ids: {
  readonly uid: number;
  readonly gid: number;
}): Promise<OwnerMap | undefined> {
  if (ids.uid !== 0) return createSingleIdMapping(ids);
  const mapping = await readOwnMapping();
  if (hasAllIds(mapping)) return undefined;
  return { uids: mapping.uids.map(asThemselves), gids: mapping.gids.map(asThemselves) };
}

function asThemselves({ inside, count }: IdRange): IdRange {
  return { inside, outside: inside, count };
}
