/**
 * One layer as a tree, from the entries of its TOC or tar.
 *
 * - Entries come in order: a later one replaces an earlier one with its path, a directory over a directory keeps the content.
 * - What is missing on the way to an entry becomes a directory, and so does, in place of it, what is neither directory nor
 *   symlink. Symlinks of the same layer are followed inside the root; those of other layers are not known here.
 * - A hard link shares the inode of its target, wherever in the layer that comes.
 * - Whiteouts hide what lower layers have: an own directory of that name becomes opaque.
 *
 * @module
 */
import type { ErofsDirectory, ErofsExtent, ErofsNode, OverlayNamespace } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import { MAX_ROOT_DEPTH, MAX_SYMLINK_HOPS } from "../image/index.ts";
import {
  attributesOf,
  LayerDirectory,
  type LayerTreeEntry,
  nodeFromEntry,
  PendingLink,
} from "./layer-tree-nodes.ts";
import { isOverlayAttribute, OPAQUE_NAME, WHITEOUT_META_PREFIX, WHITEOUT_PREFIX } from "./overlay-names.ts";

interface WaitingLink {
  readonly directory: LayerDirectory;
  readonly name: string;
  readonly link: PendingLink;
}

/** Builds the tree of a layer. */
export class LayerTree {
  readonly #root = new LayerDirectory();
  readonly #links: WaitingLink[] = [];
  readonly #skipped = new Set<string>();
  /** The directory of the last entry: most entries follow one of the same directory. */
  #lastPath: string | undefined;
  #lastDirectory: LayerDirectory | undefined;

  /** The names of attributes that no image may have, each once. */
  get skippedXattrs(): readonly string[] {
    return [...this.#skipped];
  }

  /**
   * Adds an entry.
   *
   * @param extents of a regular file: where its bytes lie
   * @throws {EsgzError} `PATH_INVALID` for a whiteout of nothing, and for paths that are too deep or lead through too many
   * symlinks; `TAR_INVALID` for a hard link to itself.
   */
  add(entry: LayerTreeEntry, extents: readonly ErofsExtent[] = []): void {
    const { path } = entry;
    for (const name of entry.xattrs.keys()) if (isOverlayAttribute(name)) this.#skipped.add(name);
    if (path === "") {
      if (entry.type === "dir") this.#root.describe(attributesOf(entry));
      return;
    }
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const directory = this.#directoryAt(slash < 0 ? "" : path.slice(0, slash));
    if (directory === undefined) return;
    if (name.startsWith(WHITEOUT_PREFIX)) hide(directory, name, entry);
    else this.#place(directory, { name, entry, extents });
  }

  /**
   * Ends the tree. To be called once.
   *
   * @param namespace where overlayfs will look for marks
   * @throws {EsgzError} `TAR_INVALID` for hard links to nothing, to a directory or in a circle.
   */
  finish(namespace: OverlayNamespace): ErofsDirectory {
    for (const { directory, name, link } of this.#links) {
      if (directory.children.get(name) === link) directory.children.set(name, this.#resolveLink(link));
    }
    const waiting = [this.#root];
    for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
      directory.seal(namespace);
      for (const child of directory.children.values())
        if (child instanceof LayerDirectory) waiting.push(child);
    }
    return this.#root;
  }

  #place(
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
    const { type } = entry;
    const present = directory.children.get(name);
    if (type === "dir") {
      directoryIn(directory, name).describe(attributesOf(entry));
      if (present?.type === "dir") return;
    } else if (type === "hardlink") {
      const target = this.#find(entry.linkName);
      if (entry.linkName === entry.path || (target !== undefined && target === present)) {
        // By another path through a symlink, the link leads to what is here already.
        if (entry.linkName !== entry.path && target?.type !== "dir") return;
        throw badLink(entry.path, entry.linkName, "another file, got itself");
      }
      directory.children.set(name, this.#link(entry, { directory, name, target }));
    } else {
      directory.children.set(name, nodeFromEntry({ ...entry, type }, extents));
    }
    if (present !== undefined) this.#lastPath = undefined;
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
    if (target !== undefined && target.type !== "dir" && !(target instanceof PendingLink)) return target;
    const link = new PendingLink(entry);
    this.#links.push({ directory, name, link });
    return link;
  }

  #resolveLink(start: PendingLink): ErofsNode {
    const seen = new Set<ErofsNode>([start]);
    let link = start;
    for (;;) {
      const node = this.#find(link.target);
      if (node === undefined) throw badLink(link.path, link.target, "a file in the same layer, got nothing");
      if (node.type === "dir") throw badLink(link.path, link.target, "a file, got a directory");
      if (!(node instanceof PendingLink)) return node;
      if (seen.has(node)) throw badLink(link.path, link.target, "a file, got a circle of links");
      seen.add(node);
      link = node;
    }
  }

  /** The directory at a path, made where it is missing; undefined below a whiteout's name. */
  #directoryAt(path: string): LayerDirectory | undefined {
    if (path === this.#lastPath) return this.#lastDirectory;
    this.#lastDirectory = this.#makeDirectories(path);
    this.#lastPath = path;
    return this.#lastDirectory;
  }

  #makeDirectories(path: string): LayerDirectory | undefined {
    const names = this.#physicalNames(path);
    if (names.some((name) => name.startsWith(WHITEOUT_PREFIX))) return undefined;
    let directory = this.#root;
    for (const name of names) {
      directory = directoryIn(directory, name);
    }
    return directory;
  }

  /** What is at a path, its last component not followed. */
  #find(path: string): ErofsNode | undefined {
    if (path === "") return this.#root;
    const slash = path.lastIndexOf("/");
    let directory: ErofsNode | undefined = this.#root;
    for (const name of slash < 0 ? [] : this.#physicalNames(path.slice(0, slash))) {
      directory = directory instanceof LayerDirectory ? directory.children.get(name) : undefined;
    }
    return directory instanceof LayerDirectory ? directory.children.get(path.slice(slash + 1)) : undefined;
  }

  /** A path with its symlinks followed inside the root: absolute targets start at the root, `..` stops there. */
  #physicalNames(path: string): readonly string[] {
    const names: string[] = [];
    const nodes: (ErofsNode | undefined)[] = [];
    const rest = path.split("/").toReversed();
    let hops = 0;
    for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
      if (name === "" || name === ".") continue;
      if (name === "..") {
        names.pop();
        nodes.pop();
        continue;
      }
      const parent = nodes.length === 0 ? this.#root : nodes.at(-1);
      const node = parent instanceof LayerDirectory ? parent.children.get(name) : undefined;
      if (node?.type === "symlink") {
        hops += 1;
        if (hops > MAX_SYMLINK_HOPS) throw badPath(path, `at most ${MAX_SYMLINK_HOPS} symlinks`);
        if (node.target.startsWith("/")) names.length = nodes.length = 0;
        for (const part of node.target.split("/").toReversed()) rest.push(part);
        continue;
      }
      if (names.length >= MAX_ROOT_DEPTH) throw badPath(path, `at most ${MAX_ROOT_DEPTH} directories`);
      names.push(name);
      nodes.push(node);
    }
    return names;
  }
}

/** The directory of a name, made if there is none. One in the place of a file of this layer is all that is left there. */
function directoryIn(parent: LayerDirectory, name: string): LayerDirectory {
  const present = parent.children.get(name);
  if (present instanceof LayerDirectory) return present;
  const made = new LayerDirectory();
  if (present !== undefined) made.replaceLower();
  parent.children.set(name, made);
  return made;
}

function hide(directory: LayerDirectory, name: string, { path, mtime }: LayerTreeEntry): void {
  if (name === OPAQUE_NAME) directory.makeOpaque();
  else if (!name.startsWith(WHITEOUT_META_PREFIX)) {
    const hidden = name.slice(WHITEOUT_PREFIX.length);
    if (["", ".", ".."].includes(hidden)) throw badPath(path, "a whiteout of a name");
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
