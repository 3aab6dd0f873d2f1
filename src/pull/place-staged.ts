/**
 * Worker side: staged files are moved to their places. Their metadata was set when they were written.
 *
 * @module
 */
import { lstatSync, renameSync } from "node:fs";
import { EsgzError } from "../errors/index.ts";
import type { RootPaths } from "./root-paths.ts";

/** A staged file and its place. */
export interface StagedMove {
  /** Full path of the staged file. */
  readonly from: string;
  /** Path inside the root. */
  readonly to: string;
  readonly size: number;
}

/**
 * Moves files. A file that an earlier, interrupted pull has moved already stays.
 *
 * @throws {EsgzError} `IO_FAILED` if a file is neither here nor there.
 */
export function placeStaged(paths: RootPaths, moves: readonly StagedMove[]): void {
  for (const { from, to, size } of moves) {
    const target = paths.ofText(to);
    if (isLoneFile(from, size)) renameSync(from, target);
    else if (!isLoneFile(target, size)) {
      throw new EsgzError(
        "IO_FAILED",
        `Cannot place file "${to}": expected ${size} staged bytes, got something else; remove the directory and pull again`,
      );
    }
  }
}

/** A regular file without a second name, which might lie anywhere. */
function isLoneFile(path: string | Buffer, size: number): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats !== undefined && stats.isFile() && stats.nlink === 1 && stats.size === size;
}
