/**
 * The user namespace that this process is in.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { ALL_IDS, hasAllIds, type IdMapping, type IdRange, parseIdMap } from "./id-mapping.ts";

/** The ids that this process can use, and what they are outside: all as themselves on a kernel without user namespaces. */
export async function readOwnMapping(): Promise<IdMapping> {
  const [uids, gids] = await Promise.all([readMap("uid_map"), readMap("gid_map")]);
  return { uids, gids };
}

/** Whether this process is in a user namespace of its own, where its root is not the machine's. */
export async function isInUserNamespace(): Promise<boolean> {
  return !hasAllIds(await readOwnMapping());
}

async function readMap(name: "uid_map" | "gid_map"): Promise<readonly IdRange[]> {
  return parseIdMap(await readFile(`/proc/self/${name}`, "utf8").catch(() => `0 0 ${ALL_IDS}`));
}
