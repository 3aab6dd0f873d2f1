/**
 * The tree while it is being merged.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { LayerEntry } from "./layer-tree.ts";
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

/** Deeper paths cannot be reached by `PATH_MAX`. */
export const MAX_ROOT_DEPTH = 2048;
/** As many symlinks as containerd follows in one path. */
export const MAX_SYMLINK_HOPS = 255;

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

/** What lies at a path: the physical names from the root, and the nodes that exist. */
export interface ResolvedPath<N extends RootNode> {
  readonly names: readonly string[];
  /** One per name; undefined where nothing is. */
  readonly nodes: readonly (N | undefined)[];
}

/**
 * Follows a path's symlinks inside the root: absolute targets start at the root, `..` stops there. What is not there, and
 * what lies below a file, is kept as names.
 *
 * @throws {EsgzError} `PATH_INVALID` after 255 symlinks or beyond 2048 names.
 */
export function resolveInRoot<
  N extends RootNode & { readonly children?: ReadonlyMap<string, N> | undefined },
>(root: N, path: string): ResolvedPath<N> {
  const names: string[] = [];
  const nodes: (N | undefined)[] = [];
  const rest = path.split("/").toReversed();
  let hops = 0;
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      names.pop();
      nodes.pop();
      continue;
    }
    const parent = nodes.length === 0 ? root : nodes.at(-1);
    const children: ReadonlyMap<string, N> | undefined = parent?.children;
    const node = children?.get(name);
    if (node?.inode.type === "symlink") {
      hops += 1;
      if (hops > MAX_SYMLINK_HOPS) throw unresolvable(path, `at most ${MAX_SYMLINK_HOPS} symlinks`);
      const target = node.inode.linkName;
      if (target.startsWith("/")) names.length = nodes.length = 0;
      for (const part of target.split("/").toReversed()) rest.push(part);
      continue;
    }
    if (names.length >= MAX_ROOT_DEPTH) throw unresolvable(path, `at most ${MAX_ROOT_DEPTH} directories`);
    names.push(name);
    nodes.push(node);
  }
  return { names, nodes };
}

function unresolvable(path: string, expected: string): EsgzError {
  const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path;
  return new EsgzError("PATH_INVALID", `Cannot merge path "${shown}": expected ${expected}`);
}
