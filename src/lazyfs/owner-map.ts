/**
 * Whom the files of an image belong to where not all user ids can be used.
 *
 * A user without privileges has one id, or a range that `/etc/subuid` lends, and a user namespace has those of its map. What
 * an image gives to somebody else is shown as its root's, so that it can be used at all.
 *
 * @module
 */
import { readFile } from "node:fs/promises";

/** Ids of an image and what they are here. */
export interface IdRange {
  /** The first id in the image. */
  readonly inside: number;
  /** What it is shown as. */
  readonly outside: number;
  readonly count: number;
}

/** Which ids there are; others are shown as the first of them. At least one range each. */
export interface OwnerMap {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

const ALL_IDS = 4_294_967_295;

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
  if (ids.uid !== 0) {
    return {
      uids: [{ inside: 0, outside: ids.uid, count: 1 }],
      gids: [{ inside: 0, outside: ids.gid, count: 1 }],
    };
  }
  const [uids, gids] = [await readNamespaceMap("uid_map"), await readNamespaceMap("gid_map")];
  return uids.some(({ count }) => count === ALL_IDS) ? undefined : { uids, gids };
}

/** Lines of three numbers: the first id inside, what it is outside, how many. Source: user_namespaces(7). */
async function readNamespaceMap(name: "uid_map" | "gid_map"): Promise<IdRange[]> {
  const text = await readFile(`/proc/self/${name}`, "utf8").catch(() => `0 0 ${ALL_IDS}`);
  return text
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([inside, , count]) =>
      inside === undefined || count === undefined ? [] : [{ inside, outside: inside, count }],
    );
}
