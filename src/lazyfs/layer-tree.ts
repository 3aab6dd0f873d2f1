/**
 * One layer as a tree, from the entries of its TOC or tar.
 *
 * - Entries come in order: a later one replaces an earlier one with its path, a directory over a directory keeps the content.
 * - What is missing on the way to an entry becomes a directory, and so does, in place of it, what is neither directory nor
 *   symlink. Symlinks of the same layer are followed inside the root; those of other layers are not known here.
 * - A hard link shares the inode of its target, wherever in the layer that comes. One to what the layer does not have may be
 *   kept as the path that it leads to, for those who know the layers below.
 * - Whiteouts hide what lower layers have: an own directory of that name becomes opaque.
 *
 * @module
 */
import type { ErofsDirectory, ErofsExtent, ErofsNode, OverlayNamespace } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import { MAX_ROOT_DEPTH, type ResolvedPath, resolvePath } from "../image/index.ts";
import {
  LayerDirectory,
  type LayerTreeEntry,
  linkBelow,
  nodeFromEntry,
  PendingLink,
} from "./layer-tree-nodes.ts";
import { isOverlayAttribute, OPAQUE_NAME, WHITEOUT_META_PREFIX, WHITEOUT_PREFIX } from "./overlay-names.ts";

interface WaitingLink {
  readonly directory: LayerDirectory;
  readonly name: string;
  readonly link: PendingLink;
}

/** What is no name of a directory. */
const NO_NAMES: readonly string[] = ["", ".", ".."];

/** Builds the tree of a layer. */
export class LayerTree {
  readonly #root = new LayerDirectory(0);
  /** All that were made, each behind the one that it is in. */
  readonly #directories: LayerDirectory[] = [this.#root];
  readonly #links: WaitingLink[] = [];
  readonly #linked = new Set<ErofsNode>();
  readonly #skipped = new Set<string>();
  /** Directories by paths that lead to them through no symlinks, as long as nothing on the way is replaced. */
  readonly #known = new Map<string, LayerDirectory>([["", this.#root]]);
  /** The directory of the last entry: most entries follow one of the same directory. */
  #lastPath: string | undefined;
  #lastDirectory: LayerDirectory | undefined;
  #lastIsKnown = false;

  /** The names of attributes that no image may have, each once. */
  get skippedXattrs(): readonly string[] {
    return [...this.#skipped];
  }

  /** The nodes that may have several names; all others have one. To be asked when the tree is finished. */
  get linked(): ReadonlySet<ErofsNode> {
    return this.#linked;
  }

  /**
   * Adds an entry.
   *
   * @param extents of a regular file: where its bytes lie
   * @throws {EsgzError} `PATH_INVALID` for a whiteout of nothing, and for paths that are too deep or lead through too many
   * symlinks; `TAR_INVALID` for a hard link to itself.
   */
  add(entry: LayerTreeEntry, extents: readonly ErofsExtent[] = []): void {
    const { path, xattrs } = entry;
    if (xattrs.size > 0)
      for (const name of xattrs.keys()) if (isOverlayAttribute(name)) this.#skipped.add(name);
    if (path === "") {
      if (entry.type === "dir") this.#root.describe(entry);
      return;
    }
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const directory = this.#directoryOf(path, slash);
    if (directory === undefined) return;
    if (name.startsWith(WHITEOUT_PREFIX)) hide(directory, name, entry);
    else if (entry.type === "dir") this.#placeDirectory(directory, name, entry);
    else this.#placeFile(directory, { name, entry, extents });
  }

  /**
   * Ends the tree. To be called once.
   *
   * @param namespace where overlayfs will look for marks
   * @param options.linksBelow keeps hard links to what this layer does not have
   * @throws {EsgzError} `TAR_INVALID` for hard links to nothing, to a directory or in a circle.
   */
  finish(namespace: OverlayNamespace, options: { readonly linksBelow: boolean }): ErofsDirectory {
    for (const { directory, name, link } of this.#links) {
      if (directory.children.get(name) !== link) continue;
      directory.children.set(name, this.#resolveLink(link, { namespace, ...options }));
    }
    for (const directory of this.#directories) directory.seal(namespace);
    return this.#root;
  }

  #placeDirectory(parent: LayerDirectory, name: string, entry: LayerTreeEntry): void {
    const present = parent.children.get(name);
    const directory = this.#directoryIn(parent, name);
    directory.describe(entry);
    if (present !== undefined && present !== directory) this.#forgetPaths();
    if (this.#lastIsKnown) this.#known.set(entry.path, directory);
  }

  #placeFile(
    directory: LayerDirectory,
    {
      name,
      entry,
      extents,
    }: {
      readonly name: string;
      readonly entry: LayerTreeEntry;
      readonly extents: readonly ErofsExtent[];
    },
  ): void {
    const { children } = directory;
    const present = children.get(name);
    if (entry.type === "hardlink") {
      const target = this.#find(entry.linkName);
      if (entry.linkName === entry.path || (target !== undefined && target === present)) {
        // By another path through a symlink, the link leads to what is here already.
        if (entry.linkName !== entry.path && target?.type !== "dir") return;
        throw badLink(entry.path, entry.linkName, "another file, got itself");
      }
      children.set(name, this.#link(entry, { directory, name, target }));
    } else {
      children.set(name, nodeFromEntry(entry, extents));
    }
    if (present !== undefined) this.#forgetPaths();
  }

  #forgetPaths(): void {
    this.#lastPath = undefined;
    this.#known.clear();
    this.#known.set("", this.#root);
  }

  #link(
    entry: LayerTreeEntry,
    {
      directory,
      name,
      target,
    }: {
      readonly directory: LayerDirectory;
      readonly name: string;
      readonly target: ErofsNode | undefined;
    },
  ): ErofsNode {
    if (target !== undefined && target.type !== "dir" && !(target instanceof PendingLink)) {
      this.#linked.add(target);
      return target;
    }
    const link = new PendingLink(entry);
    this.#links.push({ directory, name, link });
    return link;
  }

  #resolveLink(
    start: PendingLink,
    { namespace, linksBelow }: { readonly namespace: OverlayNamespace; readonly linksBelow: boolean },
  ): ErofsNode {
    const seen = new Set<ErofsNode>([start]);
    let link = start;
    for (;;) {
      const node = this.#find(link.target);
      if (node === undefined && linksBelow) {
        this.#root.noteLinkBelow();
        return linkBelow(this.#physicalPath(link.target), namespace);
      }
      if (node === undefined) throw badLink(link.path, link.target, "a file in the same layer, got nothing");
      if (node.type === "dir") throw badLink(link.path, link.target, "a file, got a directory");
      if (!(node instanceof PendingLink)) {
        this.#linked.add(node);
        return node;
      }
      if (seen.has(node)) throw badLink(link.path, link.target, "a file, got a circle of links");
      seen.add(node);
      link = node;
    }
  }

  /** The directory of a path whose last slash is at `slash`, made where it is missing; undefined below a whiteout's name. */
  #directoryOf(path: string, slash: number): LayerDirectory | undefined {
    const last = this.#lastPath;
    const size = Math.max(slash, 0);
    if (last?.length === size && path.startsWith(last)) return this.#lastDirectory;
    const parent = path.slice(0, size);
    const directory = this.#known.get(parent) ?? this.#makeNext(parent) ?? this.#makeDirectories(parent);
    this.#lastDirectory = directory;
    this.#lastPath = parent;
    this.#lastIsKnown = this.#known.has(parent);
    return directory;
  }

  /** The directory at a path in one that is known; undefined where more has to be looked at. */
  #makeNext(path: string): LayerDirectory | undefined {
    const slash = path.lastIndexOf("/");
    const parent = this.#known.get(path.slice(0, Math.max(slash, 0)));
    if (parent === undefined || parent.depth >= MAX_ROOT_DEPTH) return undefined;
    const name = path.slice(slash + 1);
    if (NO_NAMES.includes(name) || name.startsWith(WHITEOUT_PREFIX)) return undefined;
    if (parent.children.get(name)?.type === "symlink") return undefined;
    const directory = this.#directoryIn(parent, name);
    this.#known.set(path, directory);
    return directory;
  }

  #makeDirectories(path: string): LayerDirectory | undefined {
    const { names } = this.#resolve(path);
    if (names.some((name) => name.startsWith(WHITEOUT_PREFIX))) return undefined;
    let directory = this.#root;
    for (const name of names) directory = this.#directoryIn(directory, name);
    if (names.join("/") === path) this.#known.set(path, directory);
    return directory;
  }

  /** The directory of a name, made if there is none. One in the place of a file of this layer is all that is left there. */
  #directoryIn(parent: LayerDirectory, name: string): LayerDirectory {
    const present = parent.children.get(name);
    if (present instanceof LayerDirectory) return present;
    const made = new LayerDirectory(parent.depth + 1);
    if (present !== undefined) made.replaceLower();
    parent.children.set(name, made);
    this.#directories.push(made);
    return made;
  }

  /** What is at a path, its last component not followed. */
  #find(path: string): ErofsNode | undefined {
    if (path === "") return this.#root;
    const slash = path.lastIndexOf("/");
    const { nodes } = this.#resolve(path.slice(0, Math.max(slash, 0)));
    const directory = nodes.length === 0 ? this.#root : nodes.at(-1);
    return directory && childOf(directory, path.slice(slash + 1));
  }

  /** The path that symlinks of this layer make of another; the last name is not followed. */
  #physicalPath(path: string): string {
    const slash = path.lastIndexOf("/");
    return [...this.#resolve(path.slice(0, Math.max(slash, 0))).names, path.slice(slash + 1)].join("/");
  }

  /** A path with its symlinks followed inside the root: absolute targets start at the root, `..` stops there. */
  #resolve(path: string): ResolvedPath<ErofsNode> {
    return resolvePath<ErofsNode>({ root: this.#root, child: childOf, targetOf }, path);
  }
}

function childOf(node: ErofsNode, name: string): ErofsNode | undefined {
  return node instanceof LayerDirectory ? node.children.get(name) : undefined;
}

function targetOf(node: ErofsNode): string | undefined {
  return node.type === "symlink" ? node.target : undefined;
}

function hide(directory: LayerDirectory, name: string, { path, mtime }: LayerTreeEntry): void {
  if (name === OPAQUE_NAME) directory.makeOpaque();
  else if (!name.startsWith(WHITEOUT_META_PREFIX)) {
    const hidden = name.slice(WHITEOUT_PREFIX.length);
    if (NO_NAMES.includes(hidden)) throw badPath(path, "a whiteout of a name");
    directory.hide(hidden, mtime);
  }
}

function badPath(path: string, expected: string): EsgzError {
  const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path;
  return new EsgzError("PATH_INVALID", `Cannot place path "${shown}" in its layer: expected ${expected}`);
}

function badLink(path: string, target: string, expected: string): EsgzError {
  return new EsgzError("TAR_INVALID", `Cannot link "${path}" to "${target}": expected ${expected}`);
}
