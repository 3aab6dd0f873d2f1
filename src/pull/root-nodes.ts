/**
 * The merged root of an image, sorted by what has to be done for each kind of thing.
 *
 * Paths are clean (`usr/bin/env`; the root is `""`) and their parents are directories of the same tree: that is what
 * keeps a pull below its directory.
 *
 * @module
 */
import type { Chunk } from "../estargz/index.ts";
import type { Timestamp } from "../tar/index.ts";

/** What the filesystem keeps beside names and content. */
export interface NodeMetadata {
  /** Permission bits with setuid, setgid and sticky: 0o7777 at most. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Timestamp;
  /** Extended attributes by full name. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** A directory. */
export interface DirectoryNode {
  readonly path: string;
  readonly metadata: NodeMetadata;
}

/** A regular file whose chunks lie in a seekable layer. */
export interface FileNode {
  readonly path: string;
  readonly metadata: NodeMetadata;
  /** Bytes. */
  readonly size: number;
  /** The layer's index in the image. */
  readonly layer: number;
  /** In file order, covering the size exactly. */
  readonly chunks: readonly Chunk[];
}

/** A regular file, not empty, that a layer without an index brought, and that lies in the staging directory. */
export interface StagedNode {
  readonly path: string;
  readonly size: number;
  readonly layer: number;
  /** Where its content begins in its layer's tar: what it is called in the staging directory. */
  readonly tarOffset: number;
}

/** A symbolic link. */
export interface SymlinkNode {
  readonly path: string;
  readonly metadata: NodeMetadata;
  /** The link's text, as it is. */
  readonly target: string;
}

/** A device or a fifo. */
export interface SpecialNode {
  readonly path: string;
  readonly metadata: NodeMetadata;
  readonly type: "char" | "block" | "fifo";
  readonly devMajor: number;
  readonly devMinor: number;
}

/** A further name of something else in the tree. */
export interface HardLinkNode {
  readonly path: string;
  /** The path of the first name. */
  readonly target: string;
}

/** Everything in a root. */
export interface RootNodes {
  /** The root directory itself. */
  readonly root: NodeMetadata;
  /** Without the root; parents before children. */
  readonly directories: readonly DirectoryNode[];
  /** Made anew each time that they are iterated, for there are many and they are needed only once or twice. */
  readonly files: Iterable<FileNode>;
  readonly staged: readonly StagedNode[];
  readonly symlinks: readonly SymlinkNode[];
  readonly specials: readonly SpecialNode[];
  readonly links: readonly HardLinkNode[];
}
