/**
 * Which mounts of the mount table belong to a view.
 *
 * @module
 */
import { join } from "node:path";
import type { MountInfo } from "../erofs-mount/index.ts";
import type { MountState } from "./mount-record.ts";
import { treeSource } from "./view-mounter.ts";

/** Names of files that had no room in an option, or devices in front of files: whose they are cannot be seen. */
const ANONYMOUS = /^\/(proc\/self\/fd\/|dev\/loop)\d+$/;

/** The topmost mount at a place. */
export function topmostAt(table: readonly MountInfo[], place: string): MountInfo | undefined {
  return table.findLast(({ mountPoint }) => mountPoint === place);
}

/**
 * The mounts of a view at a place, the topmost last. What lies inside the view's own directory is its own; at the user's
 * directory somebody else's mount may be, or may have come.
 */
export function ownMountsAt(
  table: readonly MountInfo[],
  view: { readonly state: MountState; readonly home: string; readonly place: string },
): MountInfo[] {
  const { state, home, place } = view;
  const mounts = table.filter(({ mountPoint }) => mountPoint === place);
  if (place.startsWith(`${home}/`)) return mounts;
  return mounts.filter((mount) => mount.id !== state.before && isMadeFor(mount, state, home));
}

function isMadeFor(mount: MountInfo, { record, plan }: MountState, home: string): boolean {
  if (mount.type.startsWith("fuse")) return mount.source === treeSource(record.id);
  if (mount.type === "erofs") {
    return plan.trees.some(({ meta }) => meta === mount.source) || ANONYMOUS.test(mount.source);
  }
  if (mount.type !== "overlay") return false;
  const paths = mount.superOptions.flatMap((option) => pathsIn(option.slice(option.indexOf("=") + 1)));
  return paths.some((path) => path.startsWith(join(home, "/")) || ANONYMOUS.test(path));
}

/**
 * What an option of an overlay may name. It is shown as it was given: `lowerdir+` is one path as it is, in others a backslash
 * hides the next character, and `lowerdir` has several.
 */
function pathsIn(value: string): string[] {
  const several = value.split(/(?<!\\):/);
  return [value, ...several.map((path) => path.replaceAll(/\\(.)/gs, "$1"))];
}
