/**
 * The nodes of a layer's tree while it is being built.
 *
 * @module
 */
import {
  createWhiteout,
  type ErofsAttributes,
  type ErofsDirectory,
  type ErofsExtent,
  type ErofsNode,
  type ErofsTimestamp,
  type OverlayNamespace,
} from "../erofs/index.ts";
import type { TarEntryType } from "../tar/index.ts";
import { impliedMark, isOverlayAttribute, MARK_VALUE, opaqueMark } from "./overlay-names.ts";

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
const NO_ATTRIBUTES = { uid: 0, gid: 0, mtime: EPOCH };
/** What directories have that no entry describes. */
const SYMLINK_MODE = 0o777;
const IMPLIED: ErofsAttributes = { ...NO_ATTRIBUTES, mode: 0o755 };

/** A directory; once {@linkcode LayerDirectory.seal}ed it is what the compiler wants. */
export class LayerDirectory implements ErofsDirectory {
  readonly type = "dir";
  readonly children: Map<string, ErofsNode> = new Map();
  mode: number = IMPLIED.mode;
  uid = 0;
  gid = 0;
  mtime: ErofsTimestamp = EPOCH;
  xattrs: ReadonlyMap<string, Uint8Array> = new Map();
  #implied = true;
  #opaque = false;
  #whiteouts: Map<string, ErofsTimestamp> | undefined;

  /** Takes the attributes of an entry. */
  describe(attributes: Required<ErofsAttributes>): void {
    this.#implied = false;
    this.mode = attributes.mode;
    this.uid = attributes.uid;
    this.gid = attributes.gid;
    this.mtime = attributes.mtime;
    this.xattrs = attributes.xattrs;
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

  /** Hides a name of lower layers, whatever this layer has under it. */
  hide(name: string, mtime: ErofsTimestamp): void {
    this.#whiteouts ??= new Map();
    this.#whiteouts.set(name, mtime);
  }

  /** Makes whiteouts and marks of what was noted. Its directories are sealed after it. */
  seal(namespace: OverlayNamespace): void {
    for (const [name, mtime] of this.#whiteouts ?? []) this.#sealWhiteout(name, mtime);
    if (!this.#opaque && !this.#implied) return;
    const xattrs = new Map(this.xattrs);
    if (this.#opaque) xattrs.set(opaqueMark(namespace), MARK_VALUE);
    if (this.#implied) xattrs.set(impliedMark(namespace), MARK_VALUE);
    this.xattrs = xattrs;
  }

  #sealWhiteout(name: string, mtime: ErofsTimestamp): void {
    const own = this.children.get(name);
    if (own instanceof LayerDirectory) own.replaceLower();
    else if (own === undefined) this.children.set(name, createWhiteout({ ...NO_ATTRIBUTES, mtime, mode: 0 }));
  }
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

/** The node of an entry that is neither directory nor hard link. */
export function nodeFromEntry(
  entry: LayerTreeEntry & { readonly type: Exclude<TarEntryType, "dir" | "hardlink"> },
  extents: readonly ErofsExtent[],
): ErofsNode {
  const { type } = entry;
  const attributes = attributesOf(entry);
  switch (type) {
    case "reg":
      return { ...attributes, type, size: entry.size, extents };
    case "symlink":
      return { ...attributes, type, target: entry.linkName };
    case "char":
    case "block":
      return { ...attributes, type, major: entry.devMajor, minor: entry.devMinor };
    case "fifo":
      return { ...attributes, type };
  }
}

/** What every inode has, from an entry; attributes of overlayfs are left out, for they would be taken for marks. */
export function attributesOf(entry: LayerTreeEntry): Required<ErofsAttributes> {
  const { uid, gid, mtime, xattrs } = entry;
  // What a tar says of a symlink's permissions is lost when it is unpacked: Linux has no others.
  const mode = entry.type === "symlink" ? SYMLINK_MODE : entry.mode;
  return { mode, uid, gid, mtime, xattrs: withoutMarks(xattrs) };
}

function withoutMarks(xattrs: ReadonlyMap<string, Uint8Array>): ReadonlyMap<string, Uint8Array> {
  if (xattrs.size === 0 || ![...xattrs.keys()].some(isOverlayAttribute)) return xattrs;
  return new Map([...xattrs].filter(([name]) => !isOverlayAttribute(name)));
}
