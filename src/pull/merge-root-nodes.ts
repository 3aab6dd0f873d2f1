/**
 * From the layers of an image to what has to be made on the disk.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import {
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

/**
 * Merges indexed and staged layers.
 *
 * @throws {EsgzError} `PATH_INVALID`, `TAR_INVALID`
 */
export function mergeRootNodes(
  indexes: readonly IndexedLayer[],
  staged: ReadonlyMap<number, StagedLayer>,
): RootNodes {
  const trees = indexes.map(({ layer, archive }) =>
    archive === undefined
      ? (staged.get(layer.index)?.tree ?? { entries: [] })
      : layerTreeFromArchive(archive),
  );
  return nodesOf(mergeLayers(trees));
}

/** Sorts a merged tree by what has to be done. */
export function nodesOf(tree: RootTree): RootNodes {
  const directories: DirectoryNode[] = [];
  const files: FileNode[] = [];
  const staged: StagedNode[] = [];
  const symlinks: SymlinkNode[] = [];
  const specials: SpecialNode[] = [];
  const links: HardLinkNode[] = [];
  const firstNames = new Map<RootInode, string>();
  for (const { path, node } of walkRootTree(tree)) {
    const { inode } = node;
    const metadata = metadataOf(inode);
    const first = firstNames.get(inode);
    if (inode.type === "dir") {
      if (path !== "") directories.push({ path, metadata });
    } else if (first !== undefined) links.push({ path, target: first });
    else {
      firstNames.set(inode, path);
      if (inode.type === "symlink") symlinks.push({ path, metadata, target: inode.linkName });
      else if (inode.type === "reg") addFile({ path, metadata, inode }, { files, staged });
      else {
        const { type, devMajor, devMinor } = inode;
        specials.push({ path, metadata, type, devMajor, devMinor });
      }
    }
  }
  return { root: metadataOf(tree.root.inode), directories, files, staged, symlinks, specials, links };
}

function addFile(
  { path, metadata, inode }: { path: string; metadata: NodeMetadata; inode: RootInode },
  { files, staged }: { files: FileNode[]; staged: StagedNode[] },
): void {
  const { content, size, layer } = inode;
  if (content === undefined) files.push({ path, metadata, size, layer, chunks: [] });
  else if (content.kind === "tar") staged.push({ path, size, layer, tarOffset: content.tarOffset });
  else {
    const unverifiable = content.chunks.some(({ kind, digest }) => kind === "data" && digest === undefined);
    if (unverifiable) {
      throw new EsgzError(
        "TOC_INVALID",
        `Cannot pull file "${path}": expected a digest for every chunk, got none`,
      );
    }
    files.push({ path, metadata, size, layer, chunks: content.chunks });
  }
}

function metadataOf({ mode, uid, gid, mtime, xattrs }: RootInode): NodeMetadata {
  return { mode: mode & 0o7777, uid, gid, mtime, xattrs };
}
