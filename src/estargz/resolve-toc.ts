/**
 * What the entries of a TOC say together: one entry per path, links that lead somewhere, directories above files, and
 * chunks that lie beside each other in the blob.
 *
 * @module
 */
import { limitExceeded, type EstargzLimits } from "./limits.ts";
import type { DecodedEntry } from "./decode-toc.ts";
import type { LocatedChunk } from "./chunk-list.ts";
import type { MemberCompression } from "./inflate-member.ts";
import type { TocEntry } from "./toc-entry.ts";
import { invalidToc, quote } from "./toc-fields.ts";

/** Names at the root of a layer that belong to the format, not to the image. */
export const PREFETCH_LANDMARK = ".prefetch.landmark";
/** The file that asks readers not to load anything ahead. */
export const NO_PREFETCH_LANDMARK = ".no.prefetch.landmark";
/** The file of the tar that holds the table of contents. */
export const TOC_NAME = "stargz.index.json";

/** What the format puts into a layer beside the image's files. */
const HIDDEN = [PREFETCH_LANDMARK, NO_PREFETCH_LANDMARK, TOC_NAME];

/** Deflate cannot expand further than this. */
const MAX_DEFLATE_RATIO = 1032;

/** Directories without entries: some layers have none of their own, but then one for many files. */
const IMPLIED_PER_ENTRY = 2;
const MIN_IMPLIED = 10_000;

/** A checked TOC. */
export interface ResolvedToc {
  /** In TOC order; of entries with one path the last. Landmarks and the TOC itself are left out. */
  readonly entries: readonly TocEntry[];
  /** Whether every chunk with bytes in the blob has a digest, those of entries that are left out included. */
  readonly hasAllDigests: boolean;
  readonly byPath: ReadonlyMap<string, TocEntry>;
  /** Hard links by path, with the entry that they finally lead to. */
  readonly targets: ReadonlyMap<string, TocEntry>;
  readonly landmark: "prefetch" | "no-prefetch" | undefined;
  /** Bytes at the start of the blob to prefetch. */
  readonly prefetchSize: number;
}

/** What the check must know beside the entries. */
export interface ResolveTocOptions {
  readonly limits: EstargzLimits;
  readonly compression: MemberCompression;
}

/**
 * Checks and joins decoded entries. Sets the end of every chunk's member.
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export function resolveToc(decoded: readonly DecodedEntry[], options: ResolveTocOptions): ResolvedToc {
  const { hasAllDigests } = placeChunks(decoded, options);
  const byPath = new Map<string, DecodedEntry>();
  for (const entry of decoded) byPath.set(entry.path, entry);
  const prefetch = byPath.get(PREFETCH_LANDMARK);
  const noPrefetch = byPath.has(NO_PREFETCH_LANDMARK);
  const hasDuplicates = byPath.size < decoded.length;
  const hidden: TocEntry[] = [];
  for (const name of HIDDEN) {
    const entry = byPath.get(name);
    if (entry !== undefined) hidden.push(entry);
    byPath.delete(name);
  }
  const entries = hasDuplicates
    ? decoded.filter((entry) => byPath.get(entry.path) === entry)
    : hidden.length === 0
      ? decoded
      : decoded.filter((entry) => !hidden.includes(entry));
  checkTree(entries, byPath);
  return {
    entries,
    hasAllDigests,
    byPath,
    targets: resolveHardlinks(entries, byPath),
    landmark: prefetch !== undefined ? "prefetch" : noPrefetch ? "no-prefetch" : undefined,
    prefetchSize: prefetch?.chunks[0]?.blobOffset ?? 0,
  };
}

/** Lets each member end where the next begins, and refuses overlaps. */
function placeChunks(
  decoded: readonly DecodedEntry[],
  { compression, limits }: ResolveTocOptions,
): { readonly hasAllDigests: boolean } {
  const ratio =
    compression === "gzip" ? Math.min(MAX_DEFLATE_RATIO, limits.maxInflateRatio) : limits.maxInflateRatio;
  const { placed, hasAllDigests } = chunksInBlobOrder(decoded);
  let nextMember = Infinity;
  let following: LocatedChunk | undefined;
  for (let i = placed.length - 1; i >= 0; i -= 1) {
    const current = placed[i];
    if (current === undefined) break;
    if (following !== undefined) {
      if (following.blobOffset > current.blobOffset) nextMember = following.blobOffset;
      else if (following.innerOffset < current.innerOffset + current.size) {
        const found = `one inside ${quote(nameOfChunk(decoded, current))}`;
        throw invalidToc(nameOfChunk(decoded, following), "a chunk of its own", found);
      }
    }
    if (current.blobEnd > nextMember) current.blobEnd = nextMember;
    const least = (current.innerOffset + current.size) / ratio;
    if (least > current.blobEnd - current.blobOffset) refuseRatio(current, { ratio, decoded });
    following = current;
  }
  return { hasAllDigests };
}

/** The chunks that have bytes in the blob. Writers list files in its order, nearly always. */
function chunksInBlobOrder(decoded: readonly DecodedEntry[]): {
  readonly placed: readonly LocatedChunk[];
  readonly hasAllDigests: boolean;
} {
  const placed: LocatedChunk[] = [];
  let hasAllDigests = true;
  let isSorted = true;
  let blobOffset = 0;
  let innerOffset = 0;
  for (const { chunks } of decoded) {
    for (const chunk of chunks) {
      if (chunk.kind !== "data") continue;
      if (chunk.digest === undefined) hasAllDigests = false;
      if (
        chunk.blobOffset < blobOffset ||
        (chunk.blobOffset === blobOffset && chunk.innerOffset < innerOffset)
      )
        isSorted = false;
      ({ blobOffset, innerOffset } = chunk);
      placed.push(chunk);
    }
  }
  if (!isSorted) placed.sort((a, b) => a.blobOffset - b.blobOffset || a.innerOffset - b.innerOffset);
  return { placed, hasAllDigests };
}

/** For messages: a chunk does not know whose it is. */
function nameOfChunk(decoded: readonly DecodedEntry[], chunk: LocatedChunk): string | undefined {
  return decoded.find(({ chunks }) => chunks.includes(chunk))?.name;
}

function refuseRatio(
  chunk: LocatedChunk,
  { ratio, decoded }: { readonly ratio: number; readonly decoded: readonly DecodedEntry[] },
): never {
  const most = (chunk.blobEnd - chunk.blobOffset) * ratio;
  const name = quote(nameOfChunk(decoded, chunk));
  const found = chunk.innerOffset + chunk.size;
  throw limitExceeded(`TOC entry ${name}: bytes inflated from its member`, most, found);
}

/**
 * The root is a directory, and so is whatever has entries below it. Directories that no entry describes are bounded: long
 * paths that share nothing would imply far more of them than the TOC has bytes.
 */
function checkTree(entries: readonly TocEntry[], byPath: ReadonlyMap<string, TocEntry>): void {
  const maxImplied = entries.length * IMPLIED_PER_ENTRY + MIN_IMPLIED;
  const checked = new Set<string>([""]);
  let last = "";
  const root = byPath.get("");
  let implied = 0;
  if (root !== undefined && root.type !== "dir") throw invalidToc("/", "a directory", `a ${root.type}`);
  for (const { path } of entries) {
    if (isIn(last, path)) continue;
    last = parentOf(path);
    for (let parent = last; !checked.has(parent); parent = parentOf(parent)) {
      const type = byPath.get(parent)?.type;
      if (type === undefined) implied += 1;
      else if (type !== "dir") throw invalidToc(path, `${quote(parent)} to be a directory`, `a ${type}`);
      if (implied > maxImplied) throw limitExceeded("TOC: directories without entries", maxImplied, implied);
      checked.add(parent);
    }
  }
}

/** Whether a path is directly in a directory, as is usual for the directory of the path before. */
function isIn(directory: string, path: string): boolean {
  const size = directory.length;
  return size > 0 && path.lastIndexOf("/") === size && path.startsWith(directory);
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "" : path.slice(0, slash);
}

function resolveHardlinks(
  entries: readonly TocEntry[],
  byPath: ReadonlyMap<string, TocEntry>,
): ReadonlyMap<string, TocEntry> {
  const targets = new Map<string, TocEntry>();
  for (const entry of entries) {
    if (entry.type === "hardlink" && !targets.has(entry.path)) followLinks(entry, { byPath, targets });
  }
  return targets;
}

/** Follows a chain of links to its end and remembers the end for each link on the way. */
function followLinks(
  link: TocEntry,
  maps: { readonly byPath: ReadonlyMap<string, TocEntry>; readonly targets: Map<string, TocEntry> },
): void {
  const chain = new Set<string>();
  let entry: TocEntry = link;
  while (entry.type === "hardlink") {
    if (chain.has(entry.path)) throw invalidToc(link.name, "hard links that end", "a cycle");
    chain.add(entry.path);
    const next: TocEntry | undefined = maps.targets.get(entry.path) ?? maps.byPath.get(entry.linkName);
    if (next === undefined) {
      throw invalidToc(entry.name, "the target of the hard link", `no entry ${quote(entry.linkName)}`);
    }
    entry = next;
  }
  if (entry.type === "dir") throw invalidToc(link.name, "a hard link to a file", "one to a directory");
  for (const path of chain) maps.targets.set(path, entry);
}
