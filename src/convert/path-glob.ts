/**
 * Glob patterns over paths, as doublestar reads them.
 *
 * | in a pattern | matches |
 * | --- | --- |
 * | `*` | any run of characters except `/`, also an empty one |
 * | `?` | one character except `/` |
 * | `[abc]`, `[a-z]` | one character of the set |
 * | `[^a]`, `[!a]` | one character outside the set, except `/` |
 * | `**` between slashes or at an end | any number of whole directories, also none |
 * | `\x` | the character x itself |
 * | anything else | itself; so does a `[` that is never closed, as in `usr/bin/[` |
 *
 * Names that begin with a dot need no dot in the pattern. Braces have no meaning.
 *
 * @module
 */
import { cleanPath } from "../tar/index.ts";

/** A compiled pattern. */
export interface PathGlob {
  /** The text it was made from, cleaned: relative to the root, without leading slash. */
  readonly pattern: string;
  /** Whether the pattern is a plain path: no wildcard and no escape. */
  readonly plain: boolean;
  /** Whether a cleaned path matches as a whole. */
  matches(path: string): boolean;
}

/** One character of a pattern: itself, any one, a set, or a run. */
type Token =
  | { readonly kind: "character"; readonly character: string }
  | { readonly kind: "any" }
  | { readonly kind: "run" }
  | {
      readonly kind: "set";
      readonly negated: boolean;
      readonly ranges: readonly (readonly [number, number])[];
    };

/** One directory level of a pattern; `"**"` stands for any number of them. */
type Segment = "**" | readonly Token[];

/** Compiles a pattern. Every text is a pattern. Matching takes time in proportion to pattern times path at worst. */
export function parseGlob(text: string): PathGlob {
  const pattern = cleanPath(text);
  const segments = pattern.split("/").map((part) => (part === "**" ? "**" : parseSegment(part)));
  const plain = segments.every(
    (segment) => segment !== "**" && segment.every((token) => token.kind === "character"),
  );
  if (plain && !pattern.includes("\\")) return { pattern, plain, matches: (path) => path === pattern };
  return { pattern, plain: false, matches: (path) => matchesSegments(segments, path.split("/")) };
}

function parseSegment(text: string): readonly Token[] {
  const characters = Array.from(text);
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length;) {
    const [token, next] = parseToken(characters, at);
    // Two runs in a row match what one does.
    if (token.kind !== "run" || tokens.at(-1)?.kind !== "run") tokens.push(token);
    at = next;
  }
  return tokens;
}

function parseToken(characters: readonly string[], at: number): [Token, number] {
  const character = characters[at] ?? "";
  if (character === "*") return [{ kind: "run" }, at + 1];
  if (character === "?") return [{ kind: "any" }, at + 1];
  if (character === "[") return parseSet(characters, at) ?? [{ kind: "character", character }, at + 1];
  const escaped = character === "\\" ? characters[at + 1] : undefined;
  if (escaped !== undefined) return [{ kind: "character", character: escaped }, at + 2];
  return [{ kind: "character", character }, at + 1];
}

/** A set from its `[` on, or undefined if no `]` closes it. A `]` right at its start belongs to it. */
function parseSet(characters: readonly string[], open: number): [Token, number] | undefined {
  const negated = characters[open + 1] === "^" || characters[open + 1] === "!";
  const ranges: (readonly [number, number])[] = [];
  const start = open + (negated ? 2 : 1);
  for (let at = start; at < characters.length;) {
    if (characters[at] === "]" && at > start) return [{ kind: "set", negated, ranges }, at + 1];
    const [low, afterLow] = parseMember(characters, at);
    const isRange = characters[afterLow] === "-" && (characters[afterLow + 1] ?? "]") !== "]";
    const [high, next] = isRange ? parseMember(characters, afterLow + 1) : [low, afterLow];
    ranges.push([low, high]);
    at = next;
  }
  return undefined;
}

function parseMember(characters: readonly string[], at: number): [number, number] {
  const escaped = characters[at] === "\\" ? characters[at + 1] : undefined;
  if (escaped !== undefined) return [escaped.codePointAt(0) ?? 0, at + 2];
  return [characters[at]?.codePointAt(0) ?? 0, at + 1];
}

function matchesSegments(segments: readonly Segment[], parts: readonly string[]): boolean {
  return matchesRuns(segments, parts, { isRun: (segment) => segment === "**", matchesOne: matchesSegment });
}

function matchesSegment(segment: Segment, part: string): boolean {
  if (segment === "**") return true;
  return matchesRuns(segment, Array.from(part), {
    isRun: (token) => token.kind === "run",
    matchesOne: matchesToken,
  });
}

function matchesToken(token: Token, character: string): boolean {
  if (token.kind === "character") return token.character === character;
  if (token.kind !== "set") return true;
  const point = character.codePointAt(0) ?? 0;
  return token.ranges.some(([low, high]) => low <= point && point <= high) !== token.negated;
}

/**
 * Matches a pattern with runs by remembering only the last run: on a mismatch that run takes one item more. This is
 * enough, since an earlier run could only leave the later one less to choose from; it never backtracks further.
 */
function matchesRuns<P, T>(
  pattern: readonly P[],
  items: readonly T[],
  { isRun, matchesOne }: { isRun: (part: P) => boolean; matchesOne: (part: P, item: T) => boolean },
): boolean {
  let p = 0;
  let i = 0;
  let runAt = -1;
  let resumeAt = 0;
  while (i < items.length) {
    const part = pattern[p];
    const item = items[i] as T;
    if (part !== undefined && isRun(part)) {
      [runAt, resumeAt] = [p, i];
      p += 1;
    } else if (part !== undefined && matchesOne(part, item)) {
      p += 1;
      i += 1;
    } else if (runAt >= 0) {
      resumeAt += 1;
      [p, i] = [runAt + 1, resumeAt];
    } else return false;
  }
  while (p < pattern.length && isRun(pattern[p] as P)) p += 1;
  return p === pattern.length;
}
