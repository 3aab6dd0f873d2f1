/**
 * From the layers of an image to what has to be made on the disk.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Chunk } from "../estargz/index.ts";
import {
  type FileContent,
  layerTreeFromArchive,
  mergeLayers,
  type RootInode,
  type RootTree,
  walkRootTree,
} from "../image/index.ts";
import type { IndexedLayer } from "./layer-indexes.ts";
import type {
  DirectoryNode,
  FileNode,
  HardLinkNode,
  NodeMetadata,
  RootNodes,
  SpecialNode,
  StagedNode,
  SymlinkNode,
} from "./root-nodes.ts";
import type { StagedLayer } from "./stage-layers.ts";

const NO_CHUNKS: readonly Chunk[] = [];

/**
 * Merges indexed and staged layers. Nothing of the archives but their chunks is in the tree.
 *
 * @throws {EsgzError} `PATH_INVALID`, `TAR_INVALID`
 */
export function mergeRootTree(
  indexes: readonly IndexedLayer[],
  staged: ReadonlyMap<number, StagedLayer>,
): RootTree {
  const trees = indexes.map(({ layer, archive }) =>
    archive === undefined
      ? (staged.get(layer.index)?.tree ?? { entries: [] })
      : layerTreeFromArchive(archive),
  );
  return mergeLayers(trees);
}

/**
 * Sorts a merged tree by what has to be done.
 *
 * @throws {EsgzError} `TOC_INVALID` for a chunk without a digest
 */
export function nodesOf(tree: RootTree): RootNodes {
  const directories: DirectoryNode[] = [];
  const staged: StagedNode[] = [];
  const symlinks: SymlinkNode[] = [];
  const specials: SpecialNode[] = [];
  const links: HardLinkNode[] = [];
  for (const { path, inode, first } of walkInodes(tree)) {
    const { type, content } = inode;
    if (type === "dir") {
      if (path !== "") directories.push({ path, metadata: metadataOf(inode) });
    } else if (first !== undefined) links.push({ path, target: first });
    else if (type === "symlink") {
      symlinks.push({ path, metadata: metadataOf(inode), target: inode.linkName });
    } else if (type === "reg") {
      if (content?.kind === "tar") staged.push(stagedNode(path, inode, content));
      else assertVerifiable(path, content);
    } else {
      const { devMajor, devMinor } = inode;
      specials.push({ path, metadata: metadataOf(inode), type, devMajor, devMinor });
    }
  }
  const files = { [Symbol.iterator]: () => filesOf(tree) };
  return { root: metadataOf(tree.root.inode), directories, files, staged, symlinks, specials, links };
}

/** The regular files that do not lie in the staging directory. Their metadata is that of the tree, and more than it says. */
function* filesOf(tree: RootTree): Generator<FileNode, void, undefined> {
  for (const { path, inode, first } of walkInodes(tree)) {
    const { type, content, size, layer } = inode;
    if (type !== "reg" || first !== undefined || content?.kind === "tar") continue;
    yield { path, metadata: inode, size, layer, chunks: content?.chunks ?? NO_CHUNKS };
  }
}

interface PlacedInode {
  readonly path: string;
  readonly inode: RootInode;
  /** The first path of a file, if this is a further one. */
  readonly first: string | undefined;
}

function* walkInodes(tree: RootTree): Generator<PlacedInode, void, undefined> {
  const firstNames = new Map<RootInode, string>();
  for (const { path, node } of walkRootTree(tree)) {
    const { inode } = node;
    const isShared = inode.type !== "dir" && inode.nlink > 1;
    const first = isShared ? firstNames.get(inode) : undefined;
    if (isShared && first === undefined) firstNames.set(inode, path);
    yield { path, inode, first };
  }
}

function stagedNode(
  path: string,
  { size, layer }: RootInode,
  { tarOffset }: FileContent & { readonly kind: "tar" },
): StagedNode {
  return { path, size, layer, tarOffset };
}

function assertVerifiable(
  path: string,
  content: (FileContent & { readonly kind: "chunks" }) | undefined,
): void {
  const isVerifiable = content?.chunks.every(({ kind, digest }) => kind === "zeros" || digest !== undefined);
  if (isVerifiable !== false) return;
  throw new EsgzError(
    "TOC_INVALID",
    `Cannot pull file "${path}": expected a digest for every chunk, got none`,
  );
}

function metadataOf({ mode, uid, gid, mtime, xattrs }: RootInode): NodeMetadata {
  return { mode: mode & 0o7777, uid, gid, mtime, xattrs };
}
