/**
 * The way of a path through a tree, as the kernel goes it in a root of its own.
 *
 * @module
 */
import type { PathTree } from "../image/index.ts";

/** As many links as the kernel follows. */
const MAX_LINKS = 40;
/** More than paths that people make have, links included: one that goes on and on must not take long. */
const MAX_NAMES = 256;
/** As long as a path may be. */
const MAX_PATH = 4096;

/**
 * Goes an absolute path, links followed, the last one too. Returns the node with its path without links; undefined if there is
 * nothing, links do not end, or it is longer than a path can be or than 256 names. Throws what the tree throws.
 */
export function walkPath<Node>(
  tree: PathTree<Node>,
  path: string,
): { readonly node: Node; readonly path: string } | undefined {
  if (path.length > MAX_PATH) return undefined;
  const todo = path.split("/").toReversed();
  const places = [{ node: tree.root, name: "" }];
  let names = 0;
  let links = 0;
  for (let name = todo.pop(); name !== undefined; name = todo.pop()) {
    if (name === "" || name === ".") continue;
    names += 1;
    const place = places.at(-1);
    if (names > MAX_NAMES || place === undefined) return undefined;
    if (name === "..") {
      if (places.length > 1) places.pop();
      continue;
    }
    const node = tree.child(place.node, name);
    if (node === undefined) return undefined;
    const target = tree.targetOf(node);
    if (target === undefined) {
      places.push({ node, name });
      continue;
    }
    links += 1;
    if (links > MAX_LINKS) return undefined;
    if (target.startsWith("/")) places.length = 1;
    todo.push(...target.split("/").toReversed());
  }
  const node = places.at(-1)?.node ?? tree.root;
  return { node, path: places.map((place) => place.name).join("/") };
}
