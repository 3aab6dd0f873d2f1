/**
 * What one layer says about the root filesystem: its entries in order, from a table of contents or from a tar.
 *
 * @module
 */
import type { Archive, Chunk, TocEntry } from "../estargz/index.ts";
import type { Digest } from "../oci/index.ts";
import {
  cleanPath,
  type SparseSegment,
  type TarEntry,
  type TarEntryType,
  type TarMetadata,
} from "../tar/index.ts";

/** Where a regular file's bytes lie in its layer. */
export type FileContent =
  | {
      readonly kind: "chunks";
      /** In file order, covering the size exactly. */
      readonly chunks: readonly Chunk[];
      readonly digest?: Digest | undefined;
    }
  | {
      readonly kind: "tar";
      /** Of the stored bytes, in the uncompressed tar. */
      readonly tarOffset: number;
      readonly storedSize: number;
      /** The stored runs, where the file is sparse. */
      readonly sparse?: readonly SparseSegment[] | undefined;
    };

/** One entry of a layer. Whiteouts are entries like others, named `.wh.NAME`. */
export interface LayerEntry extends Omit<TarMetadata, "name" | "type"> {
  /** Cleaned; `""` is the root. */
  readonly path: string;
  readonly type: TarEntryType;
  /** The cleaned path of a hard link's target, the verbatim text of a symlink. */
  readonly linkName: string;
  /** Of non-empty regular files. */
  readonly content?: FileContent | undefined;
}

/** A layer's entries in the order of its tar. */
export interface LayerTree {
  /** Made as they are iterated, where there is no need to have them all. */
  readonly entries: Iterable<LayerEntry>;
}

/** The entries of a verified archive. */
export function layerTreeFromArchive(archive: Archive): LayerTree {
  return { entries: { [Symbol.iterator]: () => mapEntries(archive.entries, layerEntryFromToc) } };
}

/** The entries of a decoded tar. */
export function layerTreeFromTar(entries: Iterable<TarEntry>): LayerTree {
  return { entries: Array.from(entries, layerEntryFromTar) };
}

function* mapEntries<T>(
  entries: Iterable<T>,
  toEntry: (entry: T) => LayerEntry,
): Generator<LayerEntry, void, undefined> {
  for (const entry of entries) yield toEntry(entry);
}

/** A TOC's entry as an entry of a layer. */
function layerEntryFromToc(entry: TocEntry): LayerEntry {
  if (entry.type !== "reg" || entry.size === 0) return entry;
  const content: FileContent = { kind: "chunks", chunks: entry.chunks, digest: entry.digest };
  return { ...metadataOf(entry), path: entry.path, linkName: "", content };
}

/** A tar's entry as an entry of a layer; keeps nothing of the tar's memory alive. */
export function layerEntryFromTar(entry: TarEntry): LayerEntry {
  const { type, linkName, dataOffset, storedSize, sparse } = entry;
  const path = cleanPath(entry.name);
  const metadata = metadataOf(entry);
  if (type === "hardlink") return { ...metadata, path, linkName: cleanPath(linkName) };
  if (type !== "reg" || entry.size === 0) return { ...metadata, path, linkName };
  return { ...metadata, path, linkName, content: { kind: "tar", tarOffset: dataOffset, storedSize, sparse } };
}

function metadataOf(entry: Omit<TarMetadata, "name">): Omit<LayerEntry, "path" | "linkName" | "content"> {
  const { type, size, mode, uid, gid, userName, groupName, mtime, devMajor, devMinor, xattrs } = entry;
  return { type, size, mode, uid, gid, userName, groupName, mtime, devMajor, devMinor, xattrs };
}
