/**
 * The numbers of the inode types, as `stat` and directory entries have them.
 *
 * @module
 */
import type { ErofsNodeType } from "./erofs-node.ts";

interface TypeNumbers {
  /** The type bits of a mode (`S_IFMT`). */
  readonly modeBits: number;
  /** The type in a directory entry (`FT_*`). */
  readonly direntType: number;
}

/** Both numbers of each type. */
export const TYPE_NUMBERS: Readonly<Record<ErofsNodeType, TypeNumbers>> = {
  reg: { modeBits: 0o100000, direntType: 1 },
  dir: { modeBits: 0o040000, direntType: 2 },
  char: { modeBits: 0o020000, direntType: 3 },
  block: { modeBits: 0o060000, direntType: 4 },
  fifo: { modeBits: 0o010000, direntType: 5 },
  socket: { modeBits: 0o140000, direntType: 6 },
  symlink: { modeBits: 0o120000, direntType: 7 },
};

const TYPES: readonly ErofsNodeType[] = ["reg", "dir", "char", "block", "fifo", "socket", "symlink"];
const BY_MODE = new Map(TYPES.map((type) => [TYPE_NUMBERS[type].modeBits, type]));

/** The type in the bits of a mode, or undefined for bits that mean nothing. */
export function typeFromMode(mode: number): ErofsNodeType | undefined {
  return BY_MODE.get(mode & 0o170000);
}

/** The type of a directory entry, or undefined for a number that means nothing. */
export function typeFromDirent(direntType: number): ErofsNodeType | undefined {
  return TYPES[direntType - 1];
}
