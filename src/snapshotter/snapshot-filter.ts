/**
 * The filter language of containerd, for snapshots.
 *
 * ```text
 * filter   = [ selector { "," selector } ]            all must hold; the empty filter always does
 * selector = path [ operator value ]                  without an operator: the field is there
 * path     = field { "." field }
 * field    = quoted | one or more letters, digits and "_"
 * operator = "==" | "!=" | "~="
 * value    = quoted | one or more of anything but blanks and ",", not beginning with a quote, "." or "=", "!", "~"
 * quoted   = a Go string; for "~=" also between "/" or "|"
 * ```
 *
 * Blanks may stand before fields, operators and values, and nowhere else. Of several filters one must hold. A field that is not
 * there equals nothing and differs from everything.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { type Quote, quotedAt, unquoteGo } from "./go-quote.ts";
import { TARGET_LABEL } from "./label-keys.ts";
import { matchesPattern, parsePattern } from "./pattern.ts";
import type { Snapshot } from "./snapshot.ts";

type Operator = "present" | "==" | "!=" | "~=";

/** One condition. */
export interface Selector {
  readonly path: readonly string[];
  readonly operator: Operator;
  /** Empty for `present`. */
  readonly value: string;
}

/** Conditions that must all hold. */
export type SnapshotFilter = readonly Selector[];

const BLANKS = /\s*/y;
const FIELD = /[a-zA-Z0-9_]+/y;
const OPERATOR = /[=!~]+/y;
const VALUE = /[^\s,."/|=!~][^\s,]*/y;
const QUOTES = ['"'] as const;
const PATTERN_QUOTES = ['"', "/", "|"] as const;
const MAX_FILTER_LENGTH = 64 * 1024;
/** Regular expressions may take so long to answer a question. */
const PATTERNS_MS = 1000;

/**
 * Parses one filter.
 *
 * @throws {EsgzError} `REQUEST_INVALID`
 */
export function parseSnapshotFilter(text: string): SnapshotFilter {
  if (text.length > MAX_FILTER_LENGTH) {
    const message = `Cannot parse filter: expected at most ${MAX_FILTER_LENGTH} characters, got ${text.length}`;
    throw new EsgzError("REQUEST_INVALID", message);
  }
  return text === "" ? [] : new FilterParser(text).parse();
}

/** The snapshots for which one of the filters holds; all without filters. @throws {EsgzError} `LIMIT_EXCEEDED` */
export function filterSnapshots(
  snapshots: readonly Snapshot[],
  filters: readonly SnapshotFilter[],
): readonly Snapshot[] {
  if (filters.length === 0) return snapshots;
  // For all of them together: nobody else is served meanwhile.
  const deadlineMs = performance.now() + PATTERNS_MS;
  return snapshots.filter((snapshot) =>
    filters.some((filter) => filter.every((one) => holds(snapshot, one, { deadlineMs }))),
  );
}

/**
 * The target and parent that a filter asks for, if these are what it asks for first of all: the question that containerd puts
 * for each remote snapshot, which an index can answer.
 */
export function targetOf(filter: SnapshotFilter): { target: string; parent: string } | undefined {
  const equal = (test: (path: readonly string[]) => boolean): string | undefined =>
    filter.find(({ operator, path }) => operator === "==" && test(path))?.value;
  const target = equal(([head, ...key]) => head === "labels" && key.join(".") === TARGET_LABEL);
  const parent = equal(([head, ...key]) => head === "parent" && key.length === 0);
  return target === undefined || parent === undefined ? undefined : { target, parent };
}

function holds(
  snapshot: Snapshot,
  { path, operator, value }: Selector,
  options: { readonly deadlineMs: number },
): boolean {
  const found = fieldOf(snapshot, path);
  if (operator === "present") return found !== undefined;
  if (operator === "==") return found === value;
  if (operator === "!=") return (found ?? "") !== value;
  return matchesPattern(value, found ?? "", options);
}

function fieldOf(snapshot: Snapshot, [head, ...rest]: readonly string[]): string | undefined {
  if (head === "labels") {
    const key = rest.join(".");
    return Object.hasOwn(snapshot.labels, key) ? snapshot.labels[key] : undefined;
  }
  if (head === "kind" || head === "name" || head === "parent") return snapshot[head];
  return undefined;
}

class FilterParser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Selector[] {
    const selectors = [this.#selector()];
    while (this.#skip(",")) selectors.push(this.#selector());
    if (this.#at < this.#text.length) throw this.#unexpected('"," or the end');
    return selectors;
  }

  #selector(): Selector {
    const path = [this.#field()];
    while (this.#skip(".")) path.push(this.#field());
    if (this.#at >= this.#text.length || this.#text[this.#at] === ",")
      return { path, operator: "present", value: "" };
    const operator = this.#operator();
    const place = this.#at;
    const value = this.#value(operator === "~=" ? PATTERN_QUOTES : QUOTES);
    if (operator === "~=" && parsePattern(value) === undefined) {
      this.#at = place;
      throw this.#unexpected("a regular expression");
    }
    return { path, operator, value };
  }

  #field(): string {
    this.#take(BLANKS);
    const field = this.#quoted(QUOTES) ?? this.#take(FIELD);
    if (field === undefined) throw this.#unexpected("a field");
    return field;
  }

  #operator(): Operator {
    this.#take(BLANKS);
    const place = this.#at;
    const found = this.#take(OPERATOR);
    const operator = (["==", "!=", "~="] as const).find((one) => one === found);
    if (operator !== undefined) return operator;
    this.#at = place;
    throw this.#unexpected('"==", "!=" or "~="');
  }

  #value(quotes: readonly Quote[]): string {
    this.#take(BLANKS);
    const value = this.#quoted(quotes) ?? this.#take(VALUE);
    if (value === undefined) throw this.#unexpected("a value");
    return value;
  }

  #quoted(quotes: readonly Quote[]): string | undefined {
    const quoted = quotedAt(this.#text, this.#at, { quotes });
    if (quoted === undefined) return undefined;
    const value = unquoteGo(quoted);
    if (value === undefined) throw this.#unexpected("a quoted string without unknown escapes");
    this.#at += quoted.length;
    return value;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #skip(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #unexpected(wanted: string): EsgzError {
    const found =
      this.#at < this.#text.length ? JSON.stringify(this.#text.slice(this.#at, this.#at + 20)) : "its end";
    const text = `Cannot parse filter ${JSON.stringify(this.#text.slice(0, 200))}: expected ${wanted} at character ${this.#at}, got ${found}`;
    return new EsgzError("REQUEST_INVALID", text);
  }
}
