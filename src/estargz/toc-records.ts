/**
 * The entries of an archive that is being written, with duplicates resolved as they come.
 *
 * Of entries with one path the last wins, as when the tar is unpacked. What an earlier entry stored stays in the blob;
 * hard links that were made to it keep its content: the first of them takes the entry's place in the TOC, and the
 * others lead to that one. So links are kept by the file they mean (an inode), not by the path they name.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { cleanPath, type TarMetadata } from "../tar/index.ts";
import { encodeBase64 } from "../bytes/index.ts";

/** Where a member lies; known once it and all before it are compressed. */
export interface MemberPlace {
  blobOffset: number;
  /** Exclusive. */
  blobEnd: number;
}

/** A chunk that was written. */
export interface ChunkRecord {
  readonly fileOffset: number;
  readonly size: number;
  readonly place: MemberPlace;
  readonly innerOffset: number;
  digest: Digest | undefined;
}

/** What a file is, apart from its names. */
export interface FileRecord {
  readonly metadata: Omit<TarMetadata, "name" | "linkName" | "xattrs">;
  readonly xattrs: Readonly<Record<string, string>> | undefined;
  readonly symlink: string | undefined;
  readonly chunks: ChunkRecord[];
  digest: Digest | undefined;
}

/** One line of the TOC: a name for a file, or a hard link to one. */
export interface NameRecord {
  readonly name: string;
  readonly path: string;
  /** The path of the file that a hard link means; undefined for the file's first name. */
  readonly linkPath: string | undefined;
  readonly file: FileRecord;
}

interface Name {
  readonly name: string;
  readonly path: string;
  readonly linkPath: string | undefined;
  /** A link's own metadata, until it is known which file it means. */
  readonly file: FileRecord;
  readonly slot: number;
  inode: Inode;
}

/** A file with the names that it has. Links may come before the file itself. */
interface Inode {
  owner: Name | undefined;
  /** Made with the first link: most files have none. */
  links: Set<Name> | undefined;
}

/** Collects entries. */
export class TocRecords {
  readonly #slots: (Name | undefined)[] = [];
  readonly #byPath = new Map<string, Name>();
  /** Links whose target has not been seen, by its path. */
  readonly #waiting = new Map<string, Name[]>();

  /** The number of names. */
  get size(): number {
    return this.#byPath.size;
  }

  /** Adds an entry; returns where its chunks are to be recorded. */
  add(entry: TarMetadata): FileRecord {
    const path = cleanPath(entry.name);
    const linkPath = entry.type === "hardlink" ? cleanPath(entry.linkName) : undefined;
    const target = linkPath === undefined || linkPath === path ? undefined : this.#byPath.get(linkPath);
    const replaced = this.#byPath.get(path);
    // A link to itself changes nothing.
    if (linkPath === path && replaced !== undefined) return fileOf(entry);
    const inode = target?.inode ?? { owner: undefined, links: undefined };
    const name: Name = {
      name: entry.name,
      path,
      linkPath,
      file: fileOf(entry),
      inode,
      slot: this.#slots.length,
    };
    if (linkPath === undefined) inode.owner = name;
    else (inode.links ??= new Set()).add(name);
    if (replaced !== undefined) this.#remove(replaced);
    this.#byPath.set(path, name);
    this.#slots.push(name);
    if (linkPath !== undefined && target === undefined) this.#wait(linkPath, name);
    this.#resolveWaiting(path, name);
    return name.file;
  }

  /**
   * The names in order, once all entries are there.
   *
   * @throws {EsgzError} `TAR_INVALID` for a hard link that leads to no file; `details.isDangling` where the layer has nothing
   * of that name, which then is a file of a layer below.
   */
  *finish(): Generator<NameRecord, void, undefined> {
    for (const name of this.#slots) if (name !== undefined) yield this.#recordOf(name);
  }

  #recordOf(name: Name): NameRecord {
    const { owner } = name.inode;
    if (owner === name) return { name: name.name, path: name.path, linkPath: undefined, file: name.file };
    if (owner === undefined || owner.file.metadata.type === "dir") {
      const found = owner === undefined ? "none" : "a directory";
      throw new EsgzError(
        "TAR_INVALID",
        `Cannot write hard link "${name.name}": expected a file "${name.linkPath ?? ""}", got ${found}`,
        { details: { isDangling: owner === undefined } },
      );
    }
    // The link's own words are kept where they still lead to the same file.
    const named = name.linkPath === undefined ? undefined : this.#byPath.get(name.linkPath);
    const keeps = named !== undefined && named !== name && named.inode === name.inode;
    const linkPath = keeps && name.linkPath !== undefined ? name.linkPath : owner.path;
    return { name: name.name, path: name.path, linkPath, file: name.file };
  }

  /** Takes a name out. If it was its file's own, the first link to the file inherits it. */
  #remove(name: Name): void {
    const { inode } = name;
    this.#slots[name.slot] = undefined;
    if (inode.owner !== name) {
      inode.links?.delete(name);
      return;
    }
    const [heir] = inode.links ?? [];
    inode.owner = undefined;
    if (heir === undefined || name.file.metadata.type === "dir") return;
    inode.links?.delete(heir);
    this.#slots[heir.slot] = undefined;
    const owner: Name = { ...heir, linkPath: undefined, file: name.file, slot: name.slot };
    inode.owner = owner;
    this.#slots[owner.slot] = owner;
    this.#byPath.set(owner.path, owner);
  }

  #wait(path: string, link: Name): void {
    const waiting = this.#waiting.get(path);
    if (waiting === undefined) this.#waiting.set(path, [link]);
    else waiting.push(link);
  }

  /** Links that waited for a path now mean its file. */
  #resolveWaiting(path: string, target: Name): void {
    const waiting = this.#waiting.get(path);
    if (waiting === undefined || waiting.includes(target)) return;
    this.#waiting.delete(path);
    for (const link of waiting) join(link.inode, target.inode);
  }
}

/** Lets two inodes be one. The smaller set of links moves, so that long chains stay cheap. */
function join(a: Inode, b: Inode): void {
  if (a === b) return;
  const [small, large] = (a.links?.size ?? 0) < (b.links?.size ?? 0) ? [a, b] : [b, a];
  for (const link of small.links ?? []) {
    link.inode = large;
    (large.links ??= new Set()).add(link);
  }
  small.links = undefined;
  if (small.owner === undefined) return;
  large.owner = small.owner;
  small.owner.inode = large;
}

function fileOf(entry: TarMetadata): FileRecord {
  const { type, size, mode, uid, gid, userName, groupName, mtime, devMajor, devMinor } = entry;
  return {
    metadata: { type, size, mode, uid, gid, userName, groupName, mtime, devMajor, devMinor },
    xattrs: entry.xattrs.size === 0 ? undefined : base64Xattrs(entry.xattrs),
    symlink: type === "symlink" ? entry.linkName : undefined,
    chunks: [],
    digest: undefined,
  };
}

function base64Xattrs(xattrs: ReadonlyMap<string, Uint8Array>): Readonly<Record<string, string>> {
  const sorted = [...xattrs].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, value]) => [name, encodeBase64(value)]));
}
