/**
 * The tree that is compiled: plain data, made by the caller.
 *
 * @module
 */

/** What an inode is, in the words of tar. */
export type ErofsNodeType = "reg" | "dir" | "symlink" | "char" | "block" | "fifo" | "socket";

/** A moment, to the nanosecond. */
export interface ErofsTimestamp {
  /** Whole seconds since 1970; negative before, rounded down. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

/** What every node has. */
export interface ErofsAttributes {
  /** Permission bits with set-uid, set-gid and sticky, 0 to 0o7777; the type bits are added. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: ErofsTimestamp;
  /** Full names (`user.comment`) with values of at most 65,535 bytes. */
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

/** A directory. One directory has one name: it must not be reachable twice. */
export interface ErofsDirectory extends ErofsAttributes {
  readonly type: "dir";
  /** Names as text of `decodePathText`, in any order. One node under several names is a hard link. */
  readonly children: ReadonlyMap<string, ErofsNode>;
}

/** A run of a file's bytes on a data device. */
export interface ErofsExtent {
  /** Where the run begins in the file, a multiple of 4096. */
  readonly fileOffset: number;
  /** Bytes in the run. Up to the next multiple of 4096, readers see what the device has there. */
  readonly size: number;
  /** The device, as an index into the `devices` of the image. */
  readonly device: number;
  /** Where the run begins on the device, a multiple of 4096. */
  readonly deviceOffset: number;
}

/** A regular file. */
export interface ErofsFile extends ErofsAttributes {
  readonly type: "reg";
  readonly size: number;
  /** In the order of the file, without overlaps; what they leave out is a hole and reads as zeros. */
  readonly extents: readonly ErofsExtent[];
}

/** A symbolic link. */
export interface ErofsSymlink extends ErofsAttributes {
  readonly type: "symlink";
  /** Text of `decodePathText`, 1 to 4095 bytes. */
  readonly target: string;
}

/** A device file; `char` 0:0 is an overlay whiteout. */
export interface ErofsDeviceFile extends ErofsAttributes {
  readonly type: "char" | "block";
  /** 0 to 4095. */
  readonly major: number;
  /** 0 to 1,048,575. */
  readonly minor: number;
}

/** A named pipe or socket. */
export interface ErofsSpecialFile extends ErofsAttributes {
  readonly type: "fifo" | "socket";
}

/** Anything that can have a name. */
export type ErofsNode = ErofsDirectory | ErofsFile | ErofsSymlink | ErofsDeviceFile | ErofsSpecialFile;
