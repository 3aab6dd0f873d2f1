/**
 * What a node must be to have an inode.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { checkExtents } from "./chunk-map.ts";
import type { ErofsNode } from "./erofs-node.ts";

const UINT32_LIMIT = 0xffff_ffff;
const MODE_LIMIT = 0o7777;
const NANOSECONDS_LIMIT = 999_999_999;
/** Linux device numbers have 12 and 20 bits. */
const MAJOR_LIMIT = 0xfff;
const MINOR_LIMIT = 0xf_ffff;

/**
 * Checks the numbers of a node; names, symlinks and xattrs are checked where they are encoded.
 *
 * @throws {EsgzError} `EROFS_INVALID` for a number that does not fit into an inode, and for a file's extents.
 */
export function checkNode(node: ErofsNode, deviceBlocks: readonly number[]): void {
  const { mode, uid, gid, mtime } = node;
  checkNumber("mode", mode, MODE_LIMIT);
  checkNumber("uid", uid, UINT32_LIMIT);
  checkNumber("gid", gid, UINT32_LIMIT);
  checkNumber("nanoseconds of mtime", mtime.nanoseconds, NANOSECONDS_LIMIT);
  if (!Number.isSafeInteger(mtime.seconds)) throw invalid("seconds of mtime", "whole", mtime.seconds);
  if (node.type === "char" || node.type === "block") {
    checkNumber("device major", node.major, MAJOR_LIMIT);
    checkNumber("device minor", node.minor, MINOR_LIMIT);
  }
  if (node.type === "reg") checkExtents(node, deviceBlocks);
}

function checkNumber(what: string, value: number, limit: number): void {
  // Whole numbers up to 32 bits are what this conversion leaves alone.
  if (value >>> 0 !== value || value > limit) throw invalid(what, `0 to ${limit}`, value);
}

function invalid(what: string, wanted: string, found: number): EsgzError {
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot compile node: expected ${what} to be ${wanted}, got ${found}`,
  );
}
