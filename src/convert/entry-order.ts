/**
 * The order of a layer's entries when some files come first.
 *
 * @module
 */
import type { TarEntryType } from "../tar/index.ts";

/** What the order depends on, for one entry of a tar. */
export interface OrderedEntry {
  /** Cleaned. */
  readonly path: string;
  readonly type: TarEntryType;
  /** For hard links: the cleaned path that the link points to. */
  readonly target?: string | undefined;
}

/** A new order, as positions in the list of entries. */
export interface EntryOrder {
  /** What comes first, in this order. */
  readonly first: readonly number[];
  /** What is left out: earlier entries with a name that appears again. All else follows in the old order. */
  readonly dropped: ReadonlySet<number>;
}

/**
 * Puts the named files first. In front of each comes what unpacking it needs: the root's entry, its parent directories,
 * and for a hard link what it points to.
 *
 * Of entries with one name the last one counts, and the earlier ones are dropped. They stay if a hard link points to
 * that name and the last one is not moved: without them the link could lie in front of its target.
 */
export function orderEntries(entries: readonly OrderedEntry[], paths: readonly string[]): EntryOrder {
  const last = new Map(entries.map((entry, index) => [entry.path, index]));
  const first = new Set<number>();
  for (const path of paths) addWithNeeds(path, { entries, last, first });
  return { first: [...first], dropped: duplicatesOf({ entries, last, first }) };
}

interface OrderState {
  readonly entries: readonly OrderedEntry[];
  readonly last: ReadonlyMap<string, number>;
  readonly first: Set<number>;
}

/** Follows hard links in a loop, not by recursion, and never twice: links of hostile tars may form a circle. */
function addWithNeeds(path: string, { entries, last, first }: OrderState): void {
  const chain: number[] = [];
  const seen = new Set<number>();
  for (let at = last.get(path); at !== undefined && !seen.has(at);) {
    seen.add(at);
    chain.push(at);
    const entry = entries[at];
    at = entry?.type === "hardlink" && entry.target !== undefined ? last.get(entry.target) : undefined;
  }
  for (const index of chain.toReversed()) {
    for (const parent of parentsOf(entries[index]?.path ?? "")) {
      const at = last.get(parent);
      if (at !== undefined && entries[at]?.type === "dir") first.add(at);
    }
    first.add(index);
  }
}

/** The root and all directories above a path, outermost first. */
function parentsOf(path: string): string[] {
  if (path === "") return [];
  const parts = path.split("/");
  return parts.map((_, depth) => parts.slice(0, depth).join("/"));
}

function duplicatesOf({ entries, last, first }: OrderState): Set<number> {
  const linked = new Set(entries.flatMap(({ target }) => (target === undefined ? [] : [target])));
  const dropped = new Set<number>();
  for (const [index, { path }] of entries.entries()) {
    const counts = last.get(path);
    if (counts === undefined || counts === index) continue;
    if (first.has(counts) || !linked.has(path)) dropped.add(index);
  }
  return dropped;
}
