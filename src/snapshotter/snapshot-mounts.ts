/**
 * How a client has to mount a snapshot.
 *
 * | kind           | ancestors | mount                                                      |
 * | -------------- | --------- | ---------------------------------------------------------- |
 * | active         | none      | bind of its own directory, `rw`                            |
 * | view           | none      | bind of its own directory, `ro`                            |
 * | view           | one       | bind of the ancestor's directory, `ro`                     |
 * | active         | any       | overlay: own directory as upper one, ancestors below it    |
 * | view           | two up    | overlay of the ancestors                                   |
 *
 * BuildKit compares the text of `lowerdir` of parents and children to find out what a child changed: it names the same
 * directories in the same order each time.
 *
 * @module
 */
import type { SnapshotKind } from "./snapshot.ts";

/** One call of mount(8). */
export interface SnapshotMount {
  readonly type: "bind" | "overlay";
  readonly source: string;
  readonly options: readonly string[];
}

/** The directories that a snapshot is made of. */
export interface MountedDirectories {
  /** Where its own changes are. */
  readonly fs: string;
  /** For overlayfs' own use. */
  readonly work: string;
  /** Those of its ancestors, the nearest first. */
  readonly lower: readonly string[];
}

/**
 * The mounts of an active snapshot or a view. `settings` are overlayfs' options that this machine wants, `mapping` those with
 * which whoever mounts it shows other owners. Pure.
 */
export function snapshotMounts(
  kind: Exclude<SnapshotKind, "committed">,
  { fs, work, lower }: MountedDirectories,
  options: { readonly settings: readonly string[]; readonly mapping: readonly string[] },
): readonly SnapshotMount[] {
  const isView = kind === "view";
  const [only] = lower;
  const { mapping, settings } = options;
  if (only === undefined) return [bind(fs, [...mapping, isView ? "ro" : "rw"])];
  if (isView && lower.length === 1) return [bind(only, [...mapping, "ro"])];
  const own = isView ? [] : [`workdir=${work}`, `upperdir=${fs}`];
  const lowerdir = `lowerdir=${lower.join(":")}`;
  return [{ type: "overlay", source: "overlay", options: [...mapping, ...settings, ...own, lowerdir] }];
}

function bind(source: string, options: readonly string[]): SnapshotMount {
  return { type: "bind", source, options: [...options, "rbind"] };
}
