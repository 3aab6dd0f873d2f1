/**
 * A root filesystem: what all layers of an image make together.
 *
 * @module
 */
import type { TarMetadata } from "../tar/index.ts";
import type { FileContent, LayerEntry } from "./layer-tree.ts";

/**
 * A file without its names: nodes that are hard links of each other share one inode object, so identity (`===`) is
 * what tells them.
 */
export interface RootInode extends Omit<TarMetadata, "name" | "type"> {
  readonly type: Exclude<LayerEntry["type"], "hardlink">;
  /** The layer that metadata and content are from. */
  readonly layer: number;
  /** The text of a symlink, verbatim; else empty. */
  readonly linkName: string;
  /** Of non-empty regular files: where the bytes lie in layer `layer`. */
  readonly content?: FileContent | undefined;
  /** The names of a file; for a directory 2 and one for each directory in it. */
  readonly nlink: number;
  /** Whether no layer has an entry for it: a directory that only the path of another entry implies. */
  readonly implied: boolean;
}

/** A name in the tree. */
export interface RootNode {
  /** One path component: never empty, `.`, `..`, nor with a slash. Only the root's is `""`. */
  readonly name: string;
  readonly inode: RootInode;
  /** Of directories, and only of them. */
  readonly children?: ReadonlyMap<string, RootNode> | undefined;
}

/** A merged root filesystem. */
export interface RootTree {
  readonly root: RootNode;
  /** All nodes, the root included. */
  readonly nodeCount: number;
}

/** A node with its path, `""` for the root. */
export interface PlacedNode {
  readonly path: string;
  readonly node: RootNode;
}

/** All nodes, each directory before what is in it. Changes of the tree during the walk are not allowed. */
export function* walkRootTree(tree: RootTree): Generator<PlacedNode, void, undefined> {
  const waiting: PlacedNode[] = [{ path: "", node: tree.root }];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    yield place;
    const { path, node } = place;
    if (node.children === undefined) continue;
    const prefix = path === "" ? "" : `${path}/`;
    const children = [...node.children.values()];
    for (let i = children.length - 1; i >= 0; i -= 1) {
      const child = children[i];
      if (child !== undefined) waiting.push({ path: prefix + child.name, node: child });
    }
  }
}

/** The node at a cleaned path, symlinks not followed. */
export function findRootNode(tree: RootTree, path: string): RootNode | undefined {
  let node: RootNode | undefined = tree.root;
  if (path === "") return node;
  for (const name of path.split("/")) node = node?.children?.get(name);
  return node;
}
