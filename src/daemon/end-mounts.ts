/**
 * How all mounts end.
 *
 * @module
 */
import type { MountRecord } from "../lazyfs/index.ts";

/**
 * Which of them.
 *
 * - `unused`: those that nobody uses. Container engines take the mounts of their layers to be there: these end only if nobody
 *   uses any mount at all.
 * - `end`: those that nobody uses, and those of engines in any case; containers go on with what needs nobody.
 * - `force`: all, those in use detached.
 */
export type MountsToEnd = "unused" | "end" | "force";

/** With what they are ended. */
export interface EndMountsOptions {
  /** The newest last. */
  readonly mounts: readonly MountRecord[];
  /** The ids of those that engines use. */
  readonly used: () => ReadonlySet<string>;
  readonly unmount: (mount: MountRecord, options: { readonly lazy: boolean }) => Promise<void>;
  /** Told of each that could not be ended. */
  readonly onLeft: (mount: MountRecord, error: unknown) => void;
}

/** Ends mounts, the newest first. Resolves with those that are left: they are in use. */
export async function endMounts(
  which: MountsToEnd,
  { mounts, used, unmount, onLeft }: EndMountsOptions,
): Promise<readonly MountRecord[]> {
  const newest = mounts.toReversed();
  const lazy = which === "force";
  const end = async (
    some: readonly MountRecord[],
    options: { readonly lazy: boolean },
  ): Promise<readonly MountRecord[]> => {
    const left: MountRecord[] = [];
    for (const mount of some) {
      try {
        await unmount(mount, options);
      } catch (error) {
        onLeft(mount, error);
        left.push(mount);
      }
    }
    return left;
  };
  const left = await end(
    newest.filter((mount) => !isLayer(mount)),
    { lazy },
  );
  const ids = used();
  const inUse = newest.filter((mount) => isLayer(mount) && ids.has(mount.id));
  if (which === "unused" && left.length + inUse.length > 0) return [...left, ...inUse];
  const unused = newest.filter((mount) => isLayer(mount) && !ids.has(mount.id));
  return [...left, ...(await end(unused, { lazy })), ...(await end(inUse, { lazy: true }))];
}

/** Whether a mount shows a layer alone, as they are shown to container engines and to nobody else. */
export function isLayer({ manifest }: MountRecord): boolean {
  return manifest === undefined;
}
