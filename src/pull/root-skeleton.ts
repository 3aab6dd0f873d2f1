/**
 * The directories of a root, made before anything is written into them; and the inspection of what an earlier pull
 * left, so that nothing that lies there can lead a write outside.
 *
 * @module
 */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { decodePathText } from "../bytes/index.ts";
import { pathBytesOf } from "./file-table.ts";
import type { MergedRoot } from "./merged-root.ts";
import type { RootPaths } from "./root-paths.ts";

/** Makes all directories, private to us until the end, when they get their modes. */
export function createDirectories(nodes: Pick<MergedRoot, "directories">, paths: RootPaths): void {
  for (const { path } of nodes.directories) mkdirSync(paths.ofText(path), 0o700);
}

/**
 * Brings a directory that an earlier pull left to a state to go on from: every directory of the tree is a real one and
 * ours to enter; nothing lies in it but regular files that may be right. Works from the top, so that every parent was
 * checked before anything is looked up in it.
 *
 * @param keep names at the top that are not touched
 */
export function restoreDirectories(
  root: Pick<MergedRoot, "directories" | "staged" | "table">,
  { paths, keep }: { readonly paths: RootPaths; readonly keep: readonly string[] },
): void {
  const directories = new Set(root.directories.map(({ path }) => path));
  const files = new Set(root.staged.map(({ path }) => path));
  for (let file = 0; file < root.table.files; file += 1)
    files.add(decodePathText(pathBytesOf(root.table, file)));
  for (const path of ["", ...directories]) {
    const full = paths.ofText(path);
    const stats = path === "" ? undefined : lstatSync(full, { throwIfNoEntry: false });
    if (path !== "" && stats?.isDirectory() !== true) {
      if (stats !== undefined) rmSync(full, { force: true });
      mkdirSync(full, 0o700);
      continue;
    }
    chmodSync(full, 0o700);
    for (const name of readdirSync(full, { encoding: "buffer" })) {
      const text = decodePathText(name);
      if (path === "" && keep.includes(text)) continue;
      const child = path === "" ? text : `${path}/${text}`;
      if (directories.has(child)) continue;
      const wanted = files.has(child) && isLoneFile(paths.ofText(child));
      if (!wanted) rmSync(paths.ofText(child), { recursive: true, force: true });
    }
  }
}

/** Removed names lower the count of the rest, so of a file's several names the last that is seen may stay. */
function isLoneFile(path: Buffer): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;
}
