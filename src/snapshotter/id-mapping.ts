/**
 * Which users of a container are which of the machine: labels that containerd sets for user namespaces.
 *
 * ```text
 * containerd.io/snapshot/uidmapping = 0:100000:65536,65536:300000:1000
 *                                     | |      |
 *                                     | |      how many
 *                                     | the first one on the machine
 *                                     the first one in the container
 * ```
 *
 * Files keep their owners on the disk; whoever mounts the snapshot has the kernel show others. Only what is made anew, the root
 * of the changes, has to belong to the container's root from the beginning.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { GID_MAPPING_LABEL, UID_MAPPING_LABEL } from "./label-keys.ts";
import type { DirectoryOwner, Labels } from "./snapshot.ts";

/** What the labels of a snapshot ask for. */
export interface IdMapping {
  /** The container's root. */
  readonly root: DirectoryOwner;
  /** For the snapshot's mounts, as containerd reads them. */
  readonly options: readonly string[];
}

const RANGE = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/;
/** (uid_t)-1 is nobody. */
const NO_ID = 0xffff_ffff;

/** Reads the labels; undefined without them. Pure. @throws {EsgzError} `REQUEST_INVALID` */
export function idMappingOf(labels: Labels): IdMapping | undefined {
  const uids = labels[UID_MAPPING_LABEL];
  const gids = labels[GID_MAPPING_LABEL];
  if (uids === undefined && gids === undefined) return undefined;
  const uid = uids === undefined ? 0 : rootOf(uids, UID_MAPPING_LABEL);
  const gid = gids === undefined ? 0 : rootOf(gids, GID_MAPPING_LABEL);
  const options = [
    ...(uids === undefined ? [] : [`uidmap=${uids}`]),
    ...(gids === undefined ? [] : [`gidmap=${gids}`]),
  ];
  return { root: { uid, gid }, options };
}

/** What 0 is on the machine. */
function rootOf(ranges: string, label: string): number {
  const found = ranges.split(",").map((range) => {
    const [, inside, outside, count] = RANGE.exec(range) ?? [];
    const ids = [inside, outside, count].map(Number);
    if (ids.every((id) => id < NO_ID)) return ids;
    throw invalid(label, "FIRST:FIRST:COUNT", range);
  });
  const [, outside] = found.find(([inside, , count = 0]) => inside === 0 && count > 0) ?? [];
  if (outside === undefined) throw invalid(label, "a range with 0", ranges);
  return outside;
}

function invalid(label: string, wanted: string, found: string): EsgzError {
  const text = `Cannot use label "${label}": expected ${wanted}, got "${found.slice(0, 100)}"`;
  return new EsgzError("REQUEST_INVALID", text);
}
