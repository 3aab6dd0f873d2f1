/**
 * An EROFS image as a FUSE filesystem sees it: nodes, attributes, and where the bytes of files lie.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";
import { ErofsReader, type ErofsInode, type ErofsRun, type ErofsSource } from "../erofs/index.ts";
import {
  encodeDevice,
  ErrnoError,
  MODE_TYPES,
  ROOT_NODE,
  type Attributes,
  type DirectoryEntryPlus,
  type Entry,
} from "../fuse/index.ts";
import { mapId, type OwnerMap } from "./owner-map.ts";

/** A part of a file: zeros, bytes of the image itself, or bytes of a data device. Offsets count from where the read begins. */
export type FilePart = ErofsRun & { readonly at: number };

/** Nodes follow from the image: 1 is its root, any other is its node id and 2. */
const FIRST_NODE = 2;
const FOREVER = { generation: 0, entryTimeoutMs: Infinity, attributesTimeoutMs: Infinity };
const TRUSTED = "trusted.overlay.";
const USER = "user.overlay.";

/** How a tree is shown. */
export interface TreeNodesOptions {
  /** Marks of overlayfs are shown as `user.overlay.*`, as user namespaces need them. Default false. */
  readonly userOverlay?: boolean | undefined;
  /** Whom files belong to; as the image says if absent. */
  readonly owners?: OwnerMap | undefined;
}

/** Keeps nothing but the superblock. Throws `EROFS_INVALID` for images that are damaged. */
export class TreeNodes {
  readonly #reader: ErofsReader;
  readonly #source: ErofsSource;
  readonly #userOverlay: boolean;
  readonly #owners: OwnerMap | undefined;

  constructor(source: ErofsSource, options: TreeNodesOptions = {}) {
    this.#source = source;
    this.#reader = new ErofsReader(source);
    this.#userOverlay = options.userOverlay === true;
    this.#owners = options.owners;
  }

  /** The number of inodes. */
  get inodeCount(): number {
    return this.#reader.superblock.inodeCount;
  }

  /** Blocks of 4096 bytes that the image and its devices have. */
  get blocks(): number {
    const { blocks, devices } = this.#reader.superblock;
    return devices.reduce((sum, device) => sum + device.blocks, blocks);
  }

  /** A name in a directory. */
  lookup(directory: number, name: string): Entry | undefined {
    const found = this.#reader.lookup(this.#nid(directory), name);
    return found === undefined ? undefined : this.#entry(found.nid);
  }

  /** What `stat` shows. */
  attributes(node: number): Attributes {
    return this.#attributes(this.#reader.getInode(this.#nid(node)));
  }

  /** The names of a directory after an offset; lookups come with them if asked for. */
  *list(
    directory: number,
    options: { readonly offset: number; readonly withEntries: boolean },
  ): Generator<DirectoryEntryPlus> {
    for (const { nameBytes, nid, type, cursor } of this.#reader.readdir(
      this.#nid(directory),
      options.offset,
    )) {
      const name = decodePathText(nameBytes);
      const item = { name, type, inode: this.#node(nid), offset: cursor };
      const isDot = name === "." || name === "..";
      yield options.withEntries && !isDot ? { ...item, entry: this.#entry(nid) } : item;
    }
  }

  /** The text of a symbolic link. */
  readlink(node: number): string {
    return this.#reader.readlink(this.#nid(node));
  }

  /** All extended attributes. */
  xattrs(node: number): ReadonlyMap<string, Uint8Array> {
    const found = this.#reader.xattrs(this.#nid(node));
    if (!this.#userOverlay || found.size === 0) return found;
    return new Map(
      [...found].map(([name, value]) => [
        name.startsWith(TRUSTED) ? USER + name.slice(TRUSTED.length) : name,
        value,
      ]),
    );
  }

  /** The parts that a range of a file consists of, cut at the file's end. */
  parts(node: number, range: { readonly offset: number; readonly size: number }): FilePart[] {
    const nid = this.#nid(node);
    const end = range.offset + range.size;
    const parts: FilePart[] = [];
    for (let at = range.offset; at < end;) {
      const run = this.#reader.runAt(nid, at);
      if (run === undefined) break;
      const part = { ...run, size: Math.min(run.size, end - at), at: at - range.offset };
      const last = parts.at(-1);
      if (last !== undefined && continues(last, part)) {
        parts[parts.length - 1] = { ...last, size: last.size + part.size };
      } else parts.push(part);
      at += part.size;
    }
    return parts;
  }

  /** Bytes of the image itself. */
  imageBytes(offset: number, size: number): Uint8Array {
    if (offset + size > this.#source.size) throw new ErrnoError("EIO");
    return this.#source.read(offset, size);
  }

  #entry(nid: number): Entry {
    return {
      ...FOREVER,
      node: this.#node(nid),
      attributes: this.#attributes(this.#reader.getInode(nid)),
    };
  }

  #attributes(inode: ErofsInode): Attributes {
    const { seconds, nanoseconds } = inode.mtime;
    const time = { seconds, nanoseconds };
    const isDevice = inode.type === "char" || inode.type === "block";
    return {
      inode: this.#node(inode.nid),
      size: inode.size,
      blocks: Math.ceil(inode.size / 4096) * 8,
      atime: time,
      mtime: time,
      ctime: time,
      mode: MODE_TYPES[inode.type] | inode.mode,
      nlink: inode.nlink,
      uid: this.#owners === undefined ? inode.uid : mapId(inode.uid, this.#owners.uids),
      gid: this.#owners === undefined ? inode.gid : mapId(inode.gid, this.#owners.gids),
      rdev: isDevice ? encodeDevice(inode.major, inode.minor) : 0,
      blockSize: 4096,
    };
  }

  #node(nid: number): number {
    return nid === this.#reader.rootNid ? ROOT_NODE : nid + FIRST_NODE;
  }

  #nid(node: number): number {
    return node === ROOT_NODE ? this.#reader.rootNid : node - FIRST_NODE;
  }
}

function continues(last: FilePart, next: FilePart): boolean {
  if (last.kind === "hole") return next.kind === "hole";
  return (
    last.kind === "device" &&
    next.kind === "device" &&
    next.device === last.device &&
    next.deviceOffset === last.deviceOffset + last.size
  );
}
