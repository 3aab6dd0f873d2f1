/**
 * The way of a path through a tree with symlinks, as those go it who unpack layers: what is not there may come to be.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** A tree whose nodes are of any kind. */
export interface PathTree<Node> {
  readonly root: Node;
  /** A name in a directory; undefined if there is none, or `node` is no directory. */
  child(node: Node, name: string): Node | undefined;
  /** Where a symlink leads; undefined for everything else. */
  targetOf(node: Node): string | undefined;
}

/** What lies at a path: the physical names from the root, and the nodes that exist. */
export interface ResolvedPath<Node> {
  readonly names: readonly string[];
  /** One per name; undefined where nothing is. */
  readonly nodes: readonly (Node | undefined)[];
}

/** Deeper paths cannot be reached by `PATH_MAX`. */
export const MAX_ROOT_DEPTH = 2048;
/** As many symlinks as containerd follows in one path. */
const MAX_SYMLINK_HOPS = 255;

/**
 * Follows a path's symlinks inside the root, the last one too: absolute targets start at the root, `..` stops there. What is
 * not there, and what lies below a file, is kept as names.
 *
 * @throws {EsgzError} `PATH_INVALID` after 255 symlinks or beyond 2048 names; what the tree throws.
 */
export function resolvePath<Node>(tree: PathTree<Node>, path: string): ResolvedPath<Node> {
  const names: string[] = [];
  const nodes: (Node | undefined)[] = [];
  const rest = path.split("/").toReversed();
  let hops = 0;
  for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      names.pop();
      nodes.pop();
      continue;
    }
    const parent = nodes.length === 0 ? tree.root : nodes.at(-1);
    const node = parent === undefined ? undefined : tree.child(parent, name);
    const target = node === undefined ? undefined : tree.targetOf(node);
    if (target !== undefined) {
      hops += 1;
      if (hops > MAX_SYMLINK_HOPS) throw unresolvable(path, `at most ${MAX_SYMLINK_HOPS} symlinks`);
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
  return new EsgzError("PATH_INVALID", `Cannot follow path "${shown}": expected ${expected}, got more`);
}
