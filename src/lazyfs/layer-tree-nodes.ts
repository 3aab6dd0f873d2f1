/**
 * The nodes of a layer's tree while it is being built.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import {
  type ErofsAttributes,
  type ErofsDirectory,
  type ErofsExtent,
  type ErofsNode,
  type ErofsTimestamp,
  type OverlayNamespace,
} from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { TarEntryType } from "../tar/index.ts";
import {
  impliedMark,
  isOverlayAttribute,
  linkMark,
  linksMark,
  MARK_VALUE,
  opaqueMark,
} from "./overlay-names.ts";

/** What is needed of an entry of a TOC or tar. */
export interface LayerTreeEntry {
  /** Cleaned; `""` is the root. */
  readonly path: string;
  readonly type: TarEntryType;
  readonly size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: ErofsTimestamp;
  /** The cleaned path of a hard link's target, the verbatim text of a symlink. */
  readonly linkName: string;
  readonly devMajor: number;
  readonly devMinor: number;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

const EPOCH: ErofsTimestamp = { seconds: 0, nanoseconds: 0 };
const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();
const SYMLINK_MODE = 0o777;
/** What directories have that no entry describes. */
const IMPLIED_MODE = 0o755;

/** A directory; once {@linkcode LayerDirectory.seal}ed it is what the compiler wants. */
export class LayerDirectory implements ErofsDirectory {
  readonly type = "dir";
  readonly children: Map<string, ErofsNode> = new Map();
  mode: number = IMPLIED_MODE;
  uid = 0;
  gid = 0;
  mtime: ErofsTimestamp = EPOCH;
  xattrs: ReadonlyMap<string, Uint8Array> = NO_XATTRS;
  /** How many directories it is in. */
  readonly depth: number;
  #implied = true;
  #opaque = false;
  #hasLinksBelow = false;
  #whiteouts: Map<string, ErofsTimestamp> | undefined;

  constructor(depth: number) {
    this.depth = depth;
  }

  /** Takes the attributes of an entry. */
  describe({ mode, uid, gid, mtime, xattrs }: LayerTreeEntry): void {
    this.#implied = false;
    this.mode = mode;
    this.uid = uid;
    this.gid = gid;
    this.mtime = mtime;
    this.xattrs = withoutMarks(xattrs);
  }

  /** Hides what lower layers have in it. */
  makeOpaque(): void {
    this.#opaque = true;
  }

  /** Lets nothing of lower layers through, neither content nor attributes. */
  replaceLower(): void {
    this.#opaque = true;
    this.#implied = false;
  }

  /** Of the root: notes that the layer has a hard link to a file of a lower layer. */
  noteLinkBelow(): void {
    this.#hasLinksBelow = true;
  }

  /** Hides a name of lower layers, whatever this layer has under it. */
  hide(name: string, mtime: ErofsTimestamp): void {
    this.#whiteouts ??= new Map();
    this.#whiteouts.set(name, mtime);
  }

  /** Makes whiteouts and marks of what was noted. Its directories are sealed after it. */
  seal(namespace: OverlayNamespace): void {
    if (this.#whiteouts !== undefined)
      for (const [name, mtime] of this.#whiteouts) this.#sealWhiteout(name, mtime);
    if (!this.#opaque && !this.#implied && !this.#hasLinksBelow) return;
    const xattrs = new Map(this.xattrs);
    if (this.#opaque) xattrs.set(opaqueMark(namespace), MARK_VALUE);
    if (this.#implied) xattrs.set(impliedMark(namespace), MARK_VALUE);
    if (this.#hasLinksBelow) xattrs.set(linksMark(namespace), MARK_VALUE);
    this.xattrs = xattrs;
  }

  #sealWhiteout(name: string, mtime: ErofsTimestamp): void {
    const own = this.children.get(name);
    if (own instanceof LayerDirectory) own.replaceLower();
    else if (own === undefined) this.children.set(name, whiteoutOf(mtime));
  }
}

/** What `createWhiteout()` makes, in the form in which other device files are made here: code for one is good for both. */
function whiteoutOf(mtime: ErofsTimestamp): ErofsNode {
  return { mode: 0, uid: 0, gid: 0, mtime, xattrs: NO_XATTRS, type: "char", major: 0, minor: 0 };
}

/**
 * A hard link to a file of a lower layer. Who does not know better sees a whiteout: rather no file than an empty one.
 *
 * @param path of that file
 */
export function linkBelow(path: string, namespace: OverlayNamespace): ErofsNode {
  return { ...whiteoutOf(EPOCH), xattrs: new Map([[linkMark(namespace), encodePathText(path)]]) };
}

/** A hard link whose target is looked up when all entries are there; nothing of it is compiled. */
export class PendingLink implements ErofsAttributes {
  readonly type = "reg";
  readonly size = 0;
  readonly extents: readonly ErofsExtent[] = [];
  readonly mode = 0;
  readonly uid = 0;
  readonly gid = 0;
  readonly mtime: ErofsTimestamp = EPOCH;
  readonly path: string;
  /** The cleaned path of the target. */
  readonly target: string;

  constructor({ path, linkName }: LayerTreeEntry) {
    this.path = path;
    this.target = linkName;
  }
}

/**
 * The node of an entry that is neither directory nor hard link. Each kind of node is written out: copying objects takes
 * longer than all the rest.
 */
export function nodeFromEntry(entry: LayerTreeEntry, extents: readonly ErofsExtent[]): ErofsNode {
  const { type, mode, uid, gid, mtime } = entry;
  const xattrs = withoutMarks(entry.xattrs);
  switch (type) {
    case "reg":
      return { mode, uid, gid, mtime, xattrs, type, size: entry.size, extents };
    case "symlink":
      // What a tar says of a symlink's permissions is lost when it is unpacked: Linux has no others.
      return { mode: SYMLINK_MODE, uid, gid, mtime, xattrs, type, target: entry.linkName };
    case "char":
    case "block":
      return { mode, uid, gid, mtime, xattrs, type, major: entry.devMajor, minor: entry.devMinor };
    case "fifo":
      return { mode, uid, gid, mtime, xattrs, type };
    case "dir":
    case "hardlink":
      throw new EsgzError("INTERNAL", `Cannot make node of "${entry.path}": expected a file, got a ${type}`);
  }
}

/** Attributes without those of overlayfs, which would be taken for marks. */
function withoutMarks(xattrs: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  if (xattrs.size === 0 || ![...xattrs.keys()].some(isOverlayAttribute)) return xattrs;
  return new Map([...xattrs].filter(([name]) => !isOverlayAttribute(name)));
}
