/**
 * The on-disk format of EROFS, as far as esgz writes and reads it. All numbers are little-endian.
 *
 * An image of esgz (`meta_blkaddr` is 0, so a node id is a byte offset divided by 32):
 *
 * ```text
 * offset            size      what
 * 0                 1024      zeros (room for a boot sector)
 * 1024              128       superblock
 * 1152              128 * n   device table, one slot for each data device
 * 1152 + 128 * n    ...       inode records, the root first, each at a multiple of 32
 * multiple of 4096  ...       blocks of directories and symlinks that do not fit into their record
 * multiple of 4096  ...       shared extended attributes, zeros up to a multiple of 4096
 *
 * inode record      64        inode
 *                   12        xattr header, only if there are xattrs: name filter (4), shared count (1), zeros (7)
 *                   4 * s     ids of shared xattrs: offset in the shared area divided by 4
 *                   ...       xattr entries, each padded to 4
 *                   ...       either the tail of a directory or symlink, in one block with the record,
 *                             or, from the next multiple of 8, one 8-byte index for each chunk
 *
 * inode             2         format: 1 (extended) + 2 * data layout
 *                   2         xattr count: 0, or 1 + (bytes after the xattr header) / 4
 *                   2         mode, with the type bits
 *                   2         zero
 *                   8         size in bytes
 *                   4         start block | chunk format | device number
 *                   4         inode number for 32-bit stat
 *                   4 + 4     uid, gid
 *                   8 + 4     mtime: seconds, nanoseconds
 *                   4         link count
 *                   16        zeros
 *                   = 64
 *
 * chunk index       2         zero
 *                   2         device id: 0 is the image itself, n the slot n of the device table
 *                   4         block address on that device; all ones for a hole
 *                   = 8
 *
 * directory block   12 * n    entries in the byte order of their names: node id (8), name offset (2), type (1), zero (1)
 *                   ...       names, without terminators
 *                   ...       zeros up to 4096, unless it is the tail
 *
 * xattr entry       1         length of the name without its prefix
 *                   1         prefix number
 *                   2         size of the value
 *                   ...       name, value
 * ```
 *
 * Source: the Linux kernel, `fs/erofs/erofs_fs.h` and `Documentation/filesystems/erofs.rst`.
 *
 * @module
 */

/** The block size as a power of two. The kernel takes no block larger than a page, so 4 KiB works everywhere. */
export const BLOCK_BITS = 12;

/** Bytes in a block; file data on a device begins at multiples of it. */
export const BLOCK_SIZE: number = 2 ** BLOCK_BITS;

/** Node ids count in units of this many bytes. */
export const NODE_SLOT_SIZE = 32;

/** Where the superblock lies. */
export const SUPERBLOCK_OFFSET = 1024;

/** Bytes in a superblock without extension slots. */
export const SUPERBLOCK_SIZE = 128;

/** Bytes in a slot of the device table; its place is counted in the same unit. */
export const DEVICE_SLOT_SIZE = 128;

/** Bytes in the tag of a device slot. */
export const DEVICE_TAG_SIZE = 64;

/** The first four bytes of a superblock. */
export const SUPERBLOCK_MAGIC = 0xe0f5e1e2;

/** Compatible feature: the superblock has a CRC-32C. */
export const FEATURE_COMPAT_CHECKSUM = 0x1;

/** Compatible feature: the time of an inode is its mtime (and not its ctime). */
export const FEATURE_COMPAT_MTIME = 0x2;

/** Incompatible feature: files may be made of chunks. */
export const FEATURE_INCOMPAT_CHUNKED_FILE = 0x4;

/** Incompatible feature: there is a device table. */
export const FEATURE_INCOMPAT_DEVICE_TABLE = 0x8;

/** Bytes in an inode with 64-bit sizes, 32-bit owners and its own time. */
export const EXTENDED_INODE_SIZE = 64;

/** Bytes in the short form of an inode, which is read but never written. */
export const COMPACT_INODE_SIZE = 32;

/** Data layout: in whole blocks from the start block on. */
export const LAYOUT_PLAIN = 0;

/** Data layout: whole blocks, and the tail behind the inode. */
export const LAYOUT_INLINE = 2;

/** Data layout: chunks, each with its own place. */
export const LAYOUT_CHUNKS = 4;

/** Chunk format: the low bits are the power of two of blocks in a chunk. */
export const CHUNK_BITS_MASK = 0x1f;

/** Chunk format: 8-byte indexes with device ids, and not 4-byte block addresses. */
export const CHUNK_INDEXES = 0x20;

/** Bytes in a chunk index. */
export const CHUNK_INDEX_SIZE = 8;

/** The block address of a hole. */
export const NULL_BLOCK = 0xffff_ffff;

/** Bytes in a directory entry without its name. */
export const DIRENT_SIZE = 12;

/** The longest name, in bytes. */
export const NAME_LIMIT = 255;

/** The longest text of a symlink, in bytes: PATH_MAX counts the terminator, and the kernel reads one page. */
export const SYMLINK_LIMIT = 4095;

/** Bytes before the shared ids and entries of an inode's xattrs. */
export const XATTR_HEADER_SIZE = 12;

/** Bytes in an xattr entry without name and value; entries are aligned to it. */
export const XATTR_ENTRY_SIZE = 4;

/** The root's node id has 16 bits, so its record must begin below this offset. */
export const ROOT_OFFSET_LIMIT: number = 0xffff * NODE_SLOT_SIZE;

/** The smallest multiple of `unit` that is not below `value`. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
