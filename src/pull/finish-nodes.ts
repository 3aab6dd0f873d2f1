/**
 * Worker side: everything that is no regular file. Symbolic links come when all files are written, so that while
 * content is written there is none in the tree.
 *
 * @module
 */
import { linkSync, symlinkSync } from "node:fs";
import { encodePathText } from "../bytes/index.ts";
import { makeNode } from "./native-calls.ts";
import { applyToPath, type MetadataContext } from "./node-metadata.ts";
import type { DirectoryNode, HardLinkNode, SpecialNode, SymlinkNode } from "./root-nodes.ts";
import type { RootPaths } from "./root-paths.ts";

/** What the functions here need. */
export interface FinishContext {
  readonly paths: RootPaths;
  readonly metadata: MetadataContext;
}

/** Makes symbolic links. */
export function createSymlinks(
  { paths, metadata: context }: FinishContext,
  nodes: readonly SymlinkNode[],
): void {
  for (const { path: relative, target, metadata } of nodes) {
    const path = paths.ofText(relative);
    symlinkSync(Buffer.from(encodePathText(target)), path);
    applyToPath(metadata, { path, context, mode: false, times: true });
  }
}

/** Makes devices and fifos. Those that this user or namespace may not make are counted. */
export function createSpecials(
  { paths, metadata: context }: FinishContext,
  nodes: readonly SpecialNode[],
): string[] {
  const missing: string[] = [];
  for (const node of nodes) {
    const path = paths.ofText(node.path);
    const failure =
      node.type !== "fifo" && context.uid !== 0 ? "only root can make devices" : makeNode(path, node);
    if (failure === undefined) {
      applyToPath(node.metadata, { path, context, mode: true, times: true });
    } else {
      context.omissions.add("device", node.path, failure);
      missing.push(node.path);
    }
  }
  return missing;
}

/** Makes further names. Runs when what they name is there. */
export function createLinks({ paths }: FinishContext, nodes: readonly HardLinkNode[]): void {
  for (const { path, target } of nodes) linkSync(paths.ofText(target), paths.ofText(path));
}

/** Gives directories their metadata: children before parents, times last, for every entry made touches its parent. */
export function finishDirectories(
  { paths, metadata: context }: FinishContext,
  nodes: readonly DirectoryNode[],
): void {
  for (const { path, metadata } of nodes.toReversed()) {
    applyToPath(metadata, { path: paths.ofText(path), context, mode: true, times: true });
  }
}
