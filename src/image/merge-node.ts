/**
 * The tree while it is being merged.
 *
 * @module
 */
import type { LayerEntry } from "./layer-tree.ts";
import { type ResolvedPath, resolvePath } from "./resolve-path.ts";
import type { RootInode, RootNode } from "./root-tree.ts";

/** A hard link whose target is not known yet. */
export interface PendingLink {
  /** The link's own path, for messages. */
  readonly path: string;
  /** The target's cleaned path. */
  readonly target: string;
  /** What lower layers have at the target, when the link's entry is reached. */
  readonly lower: MergeNode | undefined;
}

/** {@linkcode RootInode}, still counting its names. */
export type MergeInode = { -readonly [K in keyof RootInode]: RootInode[K] };

/** {@linkcode RootNode}, still changing. */
export interface MergeNode extends RootNode {
  inode: MergeInode;
  /** The layer whose entry has this name; of directories the uppermost. */
  layer: number;
  /** The uppermost layer that put or hid anything at or below this node. */
  touched: number;
  readonly children?: Map<string, MergeNode> | undefined;
  pending?: PendingLink | undefined;
}

/** A directory that no entry describes: 0755, of root, at time 0. */
export function impliedDirectory(name: string, layer: number): MergeNode {
  return { name, layer, touched: layer, inode: impliedInode(layer), children: new Map() };
}

/** The inode of a directory that no entry describes. */
export function impliedInode(layer: number): MergeInode {
  return {
    type: "dir",
    size: 0,
    mode: 0o755,
    uid: 0,
    gid: 0,
    userName: "",
    groupName: "",
    mtime: { seconds: 0, nanoseconds: 0 },
    linkName: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    layer,
    nlink: 0,
    implied: true,
  };
}

/** The inode of an entry; a hard link's is only a placeholder. */
export function inodeFrom(entry: LayerEntry, layer: number): MergeInode {
  const { type, size, mode, uid, gid, userName, groupName, mtime, linkName } = entry;
  const { devMajor, devMinor, xattrs, content } = entry;
  return {
    type: type === "hardlink" ? "reg" : type,
    size,
    mode,
    uid,
    gid,
    userName,
    groupName,
    mtime,
    linkName,
    devMajor,
    devMinor,
    xattrs,
    layer,
    content,
    nlink: 0,
    implied: false,
  };
}

/** Follows a path's symlinks inside the root: see {@linkcode resolvePath}. @throws {EsgzError} `PATH_INVALID` */
export function resolveInRoot<
  N extends RootNode & { readonly children?: ReadonlyMap<string, N> | undefined },
>(root: N, path: string): ResolvedPath<N> {
  return resolvePath<N>({ root, child: childOf, targetOf }, path);
}

function childOf<N>(
  node: { readonly children?: ReadonlyMap<string, N> | undefined },
  name: string,
): N | undefined {
  return node.children?.get(name);
}

function targetOf({ inode }: RootNode): string | undefined {
  return inode.type === "symlink" ? inode.linkName : undefined;
}
