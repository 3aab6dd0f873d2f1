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

/** `FT_REG_FILE`. */
export const FILE_TYPE = 1;
/** `FT_DIR`. */
export const DIRECTORY_TYPE = 2;
/** `FT_CHRDEV`. */
export const CHAR_DEVICE_TYPE = 3;
/** `FT_BLKDEV`. */
export const BLOCK_DEVICE_TYPE = 4;
/** `FT_SYMLINK`. */
export const SYMLINK_TYPE = 7;

/** The type bits of a mode, by the type in a directory entry. */
export const MODE_BITS: Uint16Array = Uint16Array.of(
  0,
  0o100000,
  0o040000,
  0o020000,
  0o060000,
  0o010000,
  0o140000,
  0o120000,
);

const TYPES: readonly ErofsNodeType[] = ["reg", "dir", "char", "block", "fifo", "socket", "symlink"];
const BY_MODE = new Map(TYPES.map((type) => [TYPE_NUMBERS[type].modeBits, type]));
/** The type of a directory entry, by the upper 4 of the 16 bits of a mode; 0 for bits that mean nothing. */
const DIRENT_TYPES = Uint8Array.of(0, 5, 3, 0, 2, 0, 4, 0, 1, 0, 7, 0, 6, 0, 0, 0);

/** The type in the bits of a mode, or undefined for bits that mean nothing. */
export function typeFromMode(mode: number): ErofsNodeType | undefined {
  return BY_MODE.get(mode & 0o170000);
}

/** The type of a directory entry, or undefined for a number that means nothing. */
export function typeFromDirent(direntType: number): ErofsNodeType | undefined {
  return TYPES[direntType - 1];
}

/** The number in directory entries for the type in the bits of a mode; 0 for bits that mean nothing. */
export function direntTypeFromMode(mode: number): number {
  return DIRENT_TYPES[(mode >> 12) & 0xf] ?? 0;
}
