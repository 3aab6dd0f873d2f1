/**
 * A tree becomes an EROFS image.
 *
 * @module
 */
import { assembleImage, checkDevices, type ErofsDevice, type ErofsImage } from "./assemble-image.ts";
import type { ErofsDirectory, ErofsNode } from "./erofs-node.ts";
import { TreeInodes } from "./tree-inodes.ts";
import type { ForeignXattrs } from "./xattr-table.ts";

/** How to compile a tree. */
export interface CompileErofsOptions {
  /** The data devices that extents refer to. A mount must name as many, in this order. At most {@linkcode DEVICE_LIMIT}. */
  readonly devices?: readonly ErofsDevice[];
  /** 16 bytes; zeros by default. */
  readonly uuid?: Uint8Array;
  /** At most 15 bytes of UTF-8. */
  readonly volumeName?: string;
  /** What to do with xattrs that EROFS cannot store (see `isErofsXattrName`); `reject` by default. */
  readonly foreignXattrs?: ForeignXattrs;
  /**
   * The nodes that may have several names, where the caller knows them: finding them out takes time. All others, directories
   * among them, must have one.
   */
  readonly linked?: ReadonlySet<ErofsNode> | undefined;
  /** The largest image that may be made, in bytes; 1 GiB by default. */
  readonly maxImageSize?: number;
}

const DEFAULT_MAX_IMAGE_SIZE = 2 ** 30;

/**
 * Compiles a tree to an EROFS image that holds everything but the contents of files, which lie on data devices.
 *
 * The same tree gives the same bytes. All inodes are in the extended form, so times have nanoseconds and ids and
 * link counts 32 bits. The image can be mounted by Linux 5.16 or newer.
 *
 * @throws {EsgzError} `EROFS_INVALID` for a tree that cannot be an image; `LIMIT_EXCEEDED` if the image would be
 * larger than `maxImageSize`, before memory is taken for it.
 */
export function compileErofs(root: ErofsDirectory, options: CompileErofsOptions = {}): ErofsImage {
  const { uuid, volumeName, foreignXattrs = "reject", maxImageSize = DEFAULT_MAX_IMAGE_SIZE } = options;
  const devices = checkDevices(options.devices ?? []);
  const deviceBlocks = devices.map(({ blocks }) => blocks);
  const inodes = new TreeInodes(root, { deviceBlocks, linked: options.linked });
  return assembleImage(inodes.list, inodes, { devices, uuid, volumeName, foreignXattrs, maxImageSize });
}
