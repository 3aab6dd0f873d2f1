/**
 * A seekable layer whose table of contents has been verified.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import { cleanPath } from "../tar/index.ts";
import type { MemberCompression } from "./inflate-member.ts";
import type { ResolvedToc } from "./resolve-toc.ts";
import type { Chunk, TocEntry } from "./toc-entry.ts";

/** The dialect of an archive. An external TOC makes no difference once it is there. */
export type ArchiveFormat = "estargz" | "stargz" | "zstd:chunked";

/** What an archive is, apart from its entries. */
export interface ArchiveFacts {
  readonly format: ArchiveFormat;
  readonly compression: MemberCompression;
  /** The digest of the TOC JSON. */
  readonly tocDigest: Digest;
  /** Bytes of the TOC JSON. */
  readonly tocSize: number;
  readonly blobSize: number;
  /** Where the payload ends in the blob, and TOC and footer begin. */
  readonly payloadSize: number;
}

/** A run of the blob that is compressed as one, with the chunks that it holds. */
export interface Member {
  readonly blobOffset: number;
  /** Where it ends, exclusive. */
  readonly blobEnd: number;
  /** In the order of the uncompressed member. */
  readonly chunks: readonly { readonly entry: TocEntry; readonly chunk: Chunk }[];
}

/** The files of a layer and where their content lies. Only `UnverifiedArchive` makes them. */
export class Archive implements ArchiveFacts {
  readonly format: ArchiveFormat;
  readonly compression: MemberCompression;
  readonly tocDigest: Digest;
  readonly tocSize: number;
  readonly blobSize: number;
  readonly payloadSize: number;
  /**
   * In the order of the TOC. Of entries with one path only the last is here; landmarks and the TOC's own file are not.
   * Hard links lead to files that exist. Directories above an entry need not have entries of their own.
   */
  readonly entries: readonly TocEntry[];
  /** Which landmark the layer has: `prefetch` asks to load `prefetchSize` bytes ahead, `no-prefetch` not to. */
  readonly landmark: "prefetch" | "no-prefetch" | undefined;
  /** Bytes at the start of the blob worth loading ahead; 0 for none. */
  readonly prefetchSize: number;
  readonly #toc: ResolvedToc;
  #members: readonly Member[] | undefined;

  constructor(facts: ArchiveFacts, toc: ResolvedToc) {
    this.format = facts.format;
    this.compression = facts.compression;
    this.tocDigest = facts.tocDigest;
    this.tocSize = facts.tocSize;
    this.blobSize = facts.blobSize;
    this.payloadSize = facts.payloadSize;
    this.entries = toc.entries;
    this.landmark = toc.landmark;
    this.prefetchSize = toc.prefetchSize;
    this.#toc = toc;
  }

  /** The entry at a path, which is cleaned first; hard links are not followed. */
  get(path: string): TocEntry | undefined {
    return this.#toc.byPath.get(cleanPath(path));
  }

  /** What a hard link finally leads to; any other entry itself. */
  resolveHardlink(entry: TocEntry): TocEntry {
    return this.#toc.targets.get(entry.path) ?? entry;
  }

  /** All members that hold content, in the order of the blob. Computed once. */
  chunksByMember(): readonly Member[] {
    return (this.#members ??= groupByMember(this.entries));
  }
}

interface MutableMember extends Member {
  readonly chunks: { readonly entry: TocEntry; readonly chunk: Chunk }[];
}

function groupByMember(entries: readonly TocEntry[]): readonly Member[] {
  const members = new Map<number, MutableMember>();
  for (const entry of entries) {
    for (const chunk of entry.chunks) {
      if (chunk.kind === "zeros") continue;
      const { blobOffset, blobEnd } = chunk;
      const member = members.get(blobOffset);
      if (member === undefined) members.set(blobOffset, { blobOffset, blobEnd, chunks: [{ entry, chunk }] });
      else member.chunks.push({ entry, chunk });
    }
  }
  const sorted = [...members.values()].toSorted((a, b) => a.blobOffset - b.blobOffset);
  for (const member of sorted) member.chunks.sort((a, b) => a.chunk.innerOffset - b.chunk.innerOffset);
  return sorted;
}
