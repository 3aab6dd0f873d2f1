/**
 * Merging layers into the root filesystem that they make together.
 *
 * The rules, as containerd applies layers and overlayfs stacks them:
 *
 * - Layers apply from the base up, a layer's entries in their order.
 * - `.wh.NAME` hides NAME of lower layers; `.wh..wh..opq` hides all that lower layers have in its directory. What the
 *   same layer holds stays, before or after the whiteout. Neither appears in the tree; what else begins with
 *   `.wh..wh.`, and what lies below a whiteout's name, is ignored.
 * - An entry replaces what has its path; a directory over a directory keeps the content and takes the upper's metadata.
 * - Symlinks on the way to an entry are followed inside the root. What is missing on the way becomes a directory (0755,
 *   root); so does, in place of it, what is neither directory nor symlink.
 * - Within one layer the same holds in order: an entry below an earlier symlink of its layer goes where that points, one
 *   below an earlier file replaces the file by a directory, a later entry replaces an earlier one.
 * - A hard link that leads to its own place through a symlink changes nothing.
 * - A hard link shares the inode of its target in the same layer, wherever in the layer that comes; else that of the
 *   target in lower layers, as it is when the link's turn comes. The last component is not followed.
 * - A character device 0:0, which overlayfs takes for a whiteout, is a device here: layers say `.wh.`.
 * - The root's metadata is that of the uppermost layer with an entry for it.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { LayerEntry, LayerTree } from "./layer-tree.ts";
import {
  impliedDirectory,
  impliedInode,
  inodeFrom,
  type MergeNode,
  type PendingLink,
  resolveInRoot,
} from "./merge-node.ts";
import type { RootTree } from "./root-tree.ts";

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
const WHITEOUT_META = ".wh..wh.";

/**
 * Merges layers, base layer first. Pure; the entries' arrays and maps are shared with the result, not copied.
 *
 * @throws {EsgzError} `PATH_INVALID` for paths that are not clean, too deep, lead through too many symlinks, or are a
 * whiteout of nothing; `TAR_INVALID` for hard links to nothing, to a directory or in a circle.
 */
export function mergeLayers(layers: readonly LayerTree[]): RootTree {
  const root = impliedDirectory("", -1);
  for (const [layer, { entries }] of layers.entries()) new LayerMerge(root, layer).apply(entries);
  return { root, nodeCount: countLinks(root) };
}

/** One layer going onto the tree. */
class LayerMerge {
  readonly #root: MergeNode;
  readonly #layer: number;
  readonly #links: { readonly node: MergeNode; readonly parent: MergeNode }[] = [];
  /** Directories in which nothing of lower layers is left. */
  readonly #cleared = new Set<MergeNode>();
  /** The directory of the last entry: most entries follow one of the same directory. */
  #lastPath: string | undefined;
  #lastDirectory: MergeNode | undefined;

  constructor(root: MergeNode, layer: number) {
    this.#root = root;
    this.#layer = layer;
  }

  apply(entries: Iterable<LayerEntry>): void {
    for (const entry of entries) this.#applyEntry(entry);
    for (const { node, parent } of this.#links) {
      if (parent.children?.get(node.name) === node) this.#resolveLink(node);
    }
  }

  #applyEntry(entry: LayerEntry): void {
    const { path } = entry;
    if (path === "") {
      if (entry.type === "dir") this.#root.inode = inodeFrom(entry, this.#layer);
      return;
    }
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    if (slash === 0) assertName("", path);
    const directory = this.#directoryAt(slash < 0 ? "" : path.slice(0, slash));
    if (directory === undefined) return;
    assertName(name, path);
    if (name.startsWith(WHITEOUT)) this.#hide(directory, { name, path });
    else this.#place(directory, { name, entry });
  }

  /** The directory at a path, made where it is missing; undefined below a whiteout's name, also behind symlinks. */
  #directoryAt(path: string): MergeNode | undefined {
    if (path === this.#lastPath) return this.#lastDirectory;
    const directory = this.#makeDirectories(path);
    this.#lastPath = path;
    this.#lastDirectory = directory;
    return directory;
  }

  #makeDirectories(path: string): MergeNode | undefined {
    if (path === "") return this.#root;
    for (const name of path.split("/")) assertName(name, path);
    const { names, nodes } = resolveInRoot(this.#root, path);
    if (names.some((name) => name.startsWith(WHITEOUT))) return undefined;
    let directory = this.#root;
    for (const [at, name] of names.entries()) {
      const present = nodes[at];
      const next = present?.children === undefined ? impliedDirectory(name, this.#layer) : present;
      if (next !== present) directory.children?.set(name, next);
      next.touched = this.#layer;
      directory = next;
    }
    return directory;
  }

  #place(directory: MergeNode, { name, entry }: { readonly name: string; readonly entry: LayerEntry }): void {
    const layer = this.#layer;
    const present = directory.children?.get(name);
    if (entry.type === "dir" && present?.children !== undefined) {
      present.inode = inodeFrom(entry, layer);
      present.layer = present.touched = layer;
      return;
    }
    if (entry.type === "hardlink" && this.#leadsTo(entry, present)) return;
    const children = entry.type === "dir" ? new Map<string, MergeNode>() : undefined;
    const node: MergeNode = { name, inode: inodeFrom(entry, layer), layer, touched: layer, children };
    if (entry.type === "hardlink") this.#link(node, { entry, directory, present });
    directory.children?.set(name, node);
    if (present !== undefined) this.#forgetDirectory();
  }

  #link(
    node: MergeNode,
    options: {
      readonly entry: LayerEntry;
      readonly directory: MergeNode;
      readonly present: MergeNode | undefined;
    },
  ): void {
    const { entry, directory, present } = options;
    const { path, linkName: target } = entry;
    const found = this.#find(target);
    if (target === path || (found !== undefined && found === present)) {
      throw badLink(path, target, "another file, got itself");
    }
    if (found?.layer === this.#layer && found.pending === undefined && found.children === undefined) {
      node.inode = found.inode;
      return;
    }
    node.pending = { path, target, lower: found?.layer === this.#layer ? undefined : found };
    this.#links.push({ node, parent: directory });
  }

  /** Whether a link's target, by another path through a symlink, is what its own path has already. */
  #leadsTo({ path, linkName }: LayerEntry, present: MergeNode | undefined): boolean {
    if (present === undefined || present.children !== undefined || linkName === path) return false;
    return this.#find(linkName) === present;
  }

  /** Follows a link to its inode, through links that wait themselves; all on the way get it. */
  #resolveLink(start: MergeNode): void {
    const chain = new Set<MergeNode>();
    let node = start;
    for (let { pending } = node; pending !== undefined; { pending } = node) {
      chain.add(node);
      node = this.#targetOf(pending);
      if (chain.has(node)) throw badLink(pending.path, pending.target, "a file, got a circle of links");
    }
    for (const link of chain) {
      link.inode = node.inode;
      link.pending = undefined;
    }
  }

  #targetOf({ path, target, lower }: PendingLink): MergeNode {
    const now = this.#find(target);
    const node = now?.layer === this.#layer ? now : (lower ?? now);
    if (node === undefined) throw badLink(path, target, "a file, got nothing");
    if (node.children !== undefined) throw badLink(path, target, "a file, got a directory");
    return node;
  }

  /** What is at a path, its last component not followed. */
  #find(path: string): MergeNode | undefined {
    const slash = path.lastIndexOf("/");
    if (slash < 0) return path === "" ? this.#root : this.#root.children?.get(path);
    const { nodes } = resolveInRoot(this.#root, path.slice(0, slash));
    const directory = nodes.length === 0 ? this.#root : nodes.at(-1);
    return directory?.children?.get(path.slice(slash + 1));
  }

  #hide(directory: MergeNode, { name, path }: { readonly name: string; readonly path: string }): void {
    if (name === OPAQUE) {
      this.#clear(directory);
      this.#forgetDirectory();
      return;
    }
    if (name.startsWith(WHITEOUT_META)) return;
    const hidden = name.slice(WHITEOUT.length);
    assertName(hidden, path);
    const node = directory.children?.get(hidden);
    if (node === undefined) return;
    if (!this.#keepOwn(node)) directory.children?.delete(hidden);
    else if (node.children !== undefined) this.#clear(node);
    this.#forgetDirectory();
  }

  /** Removes what lower layers have in a directory; directories that hold something of this layer stay. */
  #clear(start: MergeNode): void {
    const waiting = [start];
    for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
      if (this.#cleared.has(directory) || directory.children === undefined) continue;
      this.#cleared.add(directory);
      for (const [name, node] of directory.children) {
        if (!this.#keepOwn(node)) directory.children.delete(name);
        else if (node.children !== undefined) waiting.push(node);
      }
    }
  }

  /** Whether a node is of this layer, or holds something that is; a lower directory of that kind loses its metadata. */
  #keepOwn(node: MergeNode): boolean {
    if (node.layer === this.#layer) return true;
    if (node.children === undefined || node.touched !== this.#layer) return false;
    node.inode = impliedInode(this.#layer);
    node.layer = this.#layer;
    return true;
  }

  #forgetDirectory(): void {
    this.#lastPath = undefined;
    this.#lastDirectory = undefined;
  }
}

/** @throws {EsgzError} `PATH_INVALID` for what is no file name. */
function assertName(name: string, path: string): void {
  if (name !== "" && name !== "." && name !== ".." && !name.includes("\0") && !name.includes("/")) return;
  throw new EsgzError(
    "PATH_INVALID",
    `Cannot merge path ${JSON.stringify(path.slice(0, 200))}: expected file names, got ${JSON.stringify(name.slice(0, 200))}`,
  );
}

function badLink(path: string, target: string, expected: string): EsgzError {
  return new EsgzError(
    "TAR_INVALID",
    `Cannot merge hard link "${path}" to "${target}": expected ${expected}`,
  );
}

/** Counts the names of each inode, and all nodes. */
function countLinks(root: MergeNode): number {
  let count = 0;
  const waiting = [root];
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    count += 1;
    if (node.children === undefined) {
      node.inode.nlink += 1;
      continue;
    }
    node.inode.nlink = 2;
    for (const child of node.children.values()) {
      if (child.children !== undefined) node.inode.nlink += 1;
      waiting.push(child);
    }
  }
  return count;
}
