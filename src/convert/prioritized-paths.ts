/**
 * Which files of a layer come first, and in which order.
 *
 * @module
 */
import { parseGlob, type PathGlob } from "./path-glob.ts";

/** What a list of patterns chose from one layer. */
export interface PrioritizedPaths {
  /** Cleaned paths, each once: in the order of the patterns, and of one pattern's matches in the order of their text. */
  readonly paths: readonly string[];
  /** The patterns that chose at least one path. */
  readonly matched: ReadonlySet<string>;
}

/** Compiles the lines of a prioritized list: paths or globs, blank lines and lines with `#` at their start left out. */
export function parsePrioritizedList(lines: readonly string[]): readonly PathGlob[] {
  return lines.filter((line) => line.trim() !== "" && !line.startsWith("#")).map(parseGlob);
}

/**
 * Chooses from the cleaned paths of a layer. A pattern that is, character for character, the path of a file means that
 * file only, whatever its characters mean in a glob.
 */
export function selectPrioritized(globs: readonly PathGlob[], paths: ReadonlySet<string>): PrioritizedPaths {
  const chosen = new Set<string>();
  const matched = new Set<string>();
  for (const glob of globs) {
    const found = paths.has(glob.pattern) ? [glob.pattern] : matchesOf(glob, paths);
    if (found.length > 0) matched.add(glob.pattern);
    for (const path of found) chosen.add(path);
  }
  return { paths: [...chosen], matched };
}

function matchesOf(glob: PathGlob, paths: ReadonlySet<string>): string[] {
  if (glob.plain) return [];
  const found: string[] = [];
  for (const path of paths) if (glob.matches(path)) found.push(path);
  // By UTF-16 code units, never by locale: the order decides the digest.
  return found.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
