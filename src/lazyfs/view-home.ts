/**
 * The directory of a mount's own in a store: `S/mounts/<id>`.
 *
 * ```text
 * meta       the EROFS image of a merged view, a second name of the one in the store
 * lower/     where a merged tree is mounted below an overlay
 * layers/N/  where a layer is mounted below an overlay
 * empty/     a directory for overlays of one layer
 * upper/     what was changed
 * work/      the kernel's own
 * ```
 *
 * @module
 */
import { linkSync, mkdirSync } from "node:fs";
import { copyFile, readdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { listMountsBelow, unmountBelow } from "../erofs-mount/index.ts";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { removeTree } from "../files/index.ts";

const NAME = /^[A-Za-z0-9][\w.-]{0,127}$/;

/** The directory for a mount. @throws {EsgzError} `CONFIGURATION_INVALID` for an id that is no plain name. */
export function homeOf(root: string, id: string): string {
  if (NAME.test(id)) return join(root, "mounts", id);
  const found = JSON.stringify(id);
  throw new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot name mount: expected up to 128 letters, digits, "_", "." and "-", got ${found}`,
  );
}

/** Makes the directory of a mount, empty. Usually nothing is there, which then needs no look at the mount table. */
export async function makeHome(home: string): Promise<void> {
  const make = (): void => mkdirSync(home, { mode: 0o711 });
  try {
    make();
  } catch (error) {
    if (systemCodeOf(error) !== "EEXIST") throw error;
    await removeHome(home);
    make();
  }
}

/** Gives a view's EROFS image a second name, so that it stays whatever else the store forgets. */
export async function keepMeta(path: string, home: string): Promise<void> {
  const own = join(home, "meta");
  try {
    linkSync(path, own);
  } catch (error) {
    const code = systemCodeOf(error) ?? "";
    if (!["EXDEV", "EPERM", "EMLINK", "EOPNOTSUPP"].includes(code)) throw error;
    await copyFile(path, own);
  }
}

/**
 * Moves what was changed out of a home, to a place on the same filesystem that does not exist yet. If nothing was
 * changed, nothing is moved.
 *
 * @throws {EsgzError} `IO_FAILED`
 */
export async function keepChanges(home: string, place: string): Promise<void> {
  const upper = join(home, "upper");
  try {
    if ((await readdir(upper)).length === 0) return;
    await rename(upper, place);
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return;
    const message = `Cannot keep changes in "${place}": expected to move them there, got ${messageOf(cause)}`;
    throw new EsgzError("IO_FAILED", message, { cause });
  }
}

/** Takes away all mounts inside a home, at once, and then the directory with what was written there. */
export async function removeHome(home: string): Promise<void> {
  await unmountBelow(home, { lazy: true });
  const left = await listMountsBelow(home);
  // Deleting must not reach into a mount.
  if (left.length > 0) {
    const text = `Cannot remove "${home}": expected no mounts below it, got "${left[0]?.mountPoint}"`;
    throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "EBUSY" } });
  }
  await removeTree(home);
}
