/**
 * Makes an entry from all that its headers say.
 *
 * Where several say the same, PAX goes before GNU long names, and these before the header block, as in GNU tar.
 *
 * | type flag      | entry                                                                                    |
 * | -------------- | ---------------------------------------------------------------------------------------- |
 * | 0, NUL, 7      | regular file; NUL with a name that ends in a slash: directory (v7)                       |
 * | S              | regular file, GNU sparse                                                                 |
 * | 1              | hard link. Never has content, whatever its size says: so do GNU tar and Go               |
 * | 2, 3, 4, 5, 6  | symlink, character device, block device, directory, fifo: without content, size ignored  |
 * | all others     | refused: skipping an entry would make another tree than the archive's author meant       |
 *
 * @module
 */
import { announcesSparseMap, sparseMapFromRecords, sparseRealSize } from "./entry-sparse.ts";
import type { HeaderGroup } from "./header-group.ts";
import {
  applyPaxRecords,
  paxMtime,
  paxNumber,
  paxPath,
  paxText,
  paxXattrs,
  type PaxAttributes,
} from "./pax-attributes.ts";
import {
  checkSparseMap,
  GnuSparseReader,
  PaxSparseReader,
  type SparseContext,
  type SparseMap,
} from "./sparse-map.ts";
import { TAR_BLOCK_SIZE } from "./tar-block.ts";
import { invalidTar } from "./tar-error.ts";
import type { TarEntry, TarEntryType } from "./tar-entry.ts";
import type { TarLimits } from "./tar-limits.ts";
import type { UstarHeader } from "./ustar-header.ts";

const TYPES: ReadonlyMap<string, TarEntryType> = new Map<string, TarEntryType>([
  ["0", "reg"],
  ["\0", "reg"],
  ["7", "reg"],
  ["S", "reg"],
  ["1", "hardlink"],
  ["2", "symlink"],
  ["3", "char"],
  ["4", "block"],
  ["5", "dir"],
  ["6", "fifo"],
]);
const NO_ATTRIBUTES: PaxAttributes = new Map();

/** The entry's own header block, as it stands and decoded. */
interface OwnHeader {
  readonly block: Uint8Array;
  readonly ustar: UstarHeader;
}

/** What an entry is made of. */
export interface EntrySources {
  readonly group: HeaderGroup;
  readonly header: OwnHeader;
  /** The global PAX attributes in effect. */
  readonly globals: PaxAttributes;
  readonly limits: TarLimits;
}

/** An entry whose own header is known and whose sparse map may still be to come. */
export class EntryBuilder {
  readonly #group: HeaderGroup;
  readonly #ustar: UstarHeader;
  readonly #attributes: PaxAttributes;
  readonly #usesGlobals: boolean;
  readonly #context: SparseContext;
  readonly #name: string;
  readonly #type: TarEntryType;
  readonly #gnuSparse: GnuSparseReader | undefined;
  readonly #paxSparse: PaxSparseReader | undefined;
  #storedSize: number;

  /** @throws TAR_INVALID, LIMIT_EXCEEDED */
  constructor(sources: EntrySources) {
    const { group, header, globals, limits } = sources;
    this.#group = group;
    this.#ustar = header.ustar;
    this.#context = { offset: group.offset, limits };
    this.#attributes = mergeAttributes(group, globals);
    this.#usesGlobals = globals.size > 0 && usesGlobals(group, globals);
    this.#name = this.#path("path") ?? group.longName ?? header.ustar.name;
    this.#type = typeOf(header.ustar, this.#name, group.offset);
    this.#storedSize = this.#type === "reg" ? (this.#number("size") ?? header.ustar.size) : 0;
    if (header.ustar.typeFlag === "S") this.#gnuSparse = openGnuSparse(header, this.#context);
    else if (this.#type === "reg" && announcesSparseMap(this.#attributes, group.offset)) {
      this.#paxSparse = new PaxSparseReader(this.#context);
    }
  }

  /** Whether a block of the sparse map must follow before the entry is complete. */
  get needsMapBlock(): boolean {
    return this.#gnuSparse?.isExtended === true || this.#paxSparse?.isComplete === false;
  }

  /** Takes a block of the sparse map. @throws TAR_INVALID, LIMIT_EXCEEDED */
  pushMapBlock(block: Uint8Array): void {
    this.#gnuSparse?.push(block);
    if (this.#paxSparse === undefined) return;
    this.#paxSparse.push(block);
    this.#storedSize -= TAR_BLOCK_SIZE;
    if (this.#storedSize >= 0) return;
    throw invalidTar(
      "sparse map of entry",
      this.#context.offset,
      "expected it to lie inside the entry's content",
    );
  }

  /** The entry, its content beginning at `dataOffset`. @throws TAR_INVALID, LIMIT_EXCEEDED */
  build(dataOffset: number): TarEntry {
    const storedSize = this.#storedSize;
    if (!Number.isSafeInteger(dataOffset + storedSize + TAR_BLOCK_SIZE)) {
      throw invalidTar(
        "header",
        this.#context.offset,
        `expected a size that ends below 2^53, got ${storedSize}`,
      );
    }
    const sparse = this.#type === "reg" ? this.#sparseMap() : undefined;
    return {
      ...this.#metadata(sparse?.size ?? storedSize),
      headerOffset: this.#group.offset,
      dataOffset,
      storedSize,
      ...(sparse === undefined ? {} : { sparse: checkSparseMap(sparse, storedSize, this.#context.offset) }),
      rawHeader: this.#group.raw,
      selfContained: !this.#usesGlobals && this.#ustar.typeFlag !== "7",
    };
  }

  #metadata(size: number) {
    const ustar = this.#ustar;
    const isLink = this.#type === "symlink" || this.#type === "hardlink";
    const offset = this.#context.offset;
    return {
      name: (this.#type === "reg" ? this.#path("GNU.sparse.name") : undefined) ?? this.#name,
      type: this.#type,
      size,
      mode: ustar.mode % 0o10000,
      uid: this.#number("uid") ?? ustar.uid,
      gid: this.#number("gid") ?? ustar.gid,
      userName: this.#text("uname") ?? ustar.userName,
      groupName: this.#text("gname") ?? ustar.groupName,
      mtime: paxMtime(this.#attributes, offset) ?? { seconds: ustar.mtime, nanoseconds: 0 },
      linkName: isLink ? (this.#path("linkpath") ?? this.#group.longLink ?? ustar.linkName) : "",
      devMajor: ustar.devMajor,
      devMinor: ustar.devMinor,
      xattrs: paxXattrs(this.#attributes, offset),
    };
  }

  #sparseMap(): SparseMap | undefined {
    if (this.#gnuSparse !== undefined) return this.#gnuSparse.map;
    if (this.#attributes.size === 0) return undefined;
    if (this.#paxSparse === undefined)
      return sparseMapFromRecords(this.#attributes, this.#group.records, this.#context);
    return {
      segments: this.#paxSparse.segments,
      size: sparseRealSize(this.#attributes, this.#context.offset),
    };
  }

  #path(key: string): string | undefined {
    return paxPath(this.#attributes, key, this.#context);
  }

  #text(key: string): string | undefined {
    return paxText(this.#attributes, key, this.#context.offset);
  }

  #number(key: string): number | undefined {
    return paxNumber(this.#attributes, key, this.#context.offset);
  }
}

function typeOf(ustar: UstarHeader, name: string, offset: number): TarEntryType {
  const type = TYPES.get(ustar.typeFlag);
  if (type === undefined) {
    throw invalidTar(
      "header",
      offset,
      `expected a type of file that is known, got type ${JSON.stringify(ustar.typeFlag)}`,
    );
  }
  return ustar.typeFlag === "\0" && name.endsWith("/") ? "dir" : type;
}

function openGnuSparse(header: OwnHeader, context: SparseContext): GnuSparseReader {
  if (header.ustar.dialect === "gnu") return new GnuSparseReader(header.block, context);
  throw invalidTar("sparse header", context.offset, "expected the magic of GNU tar");
}

function mergeAttributes(group: HeaderGroup, globals: PaxAttributes): PaxAttributes {
  if (group.records.length === 0) return globals.size === 0 ? NO_ATTRIBUTES : globals;
  const attributes = new Map(globals);
  applyPaxRecords(attributes, group.records);
  return attributes;
}

function usesGlobals(group: HeaderGroup, globals: PaxAttributes): boolean {
  const local = new Set(group.records.map(({ key }) => key));
  for (const [key, value] of globals) if (value.length > 0 && !local.has(key)) return true;
  return false;
}
