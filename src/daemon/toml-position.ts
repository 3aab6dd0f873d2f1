/**
 * Where a key stands in a TOML text.
 *
 * The parser does not tell. But a text that is cut off at the end of a line is TOML again, unless the cut is inside a
 * value; so a key begins after the longest such text that does not have it.
 *
 * @module
 */
import { parse } from "smol-toml";

/** A place in a text, both counted from 1. */
export interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** Where the key at a path of keys (and of positions in lists) begins in a text that is valid; the last line if it is not there. */
export function locateKey(text: string, keys: readonly string[]): TextPosition {
  const lines = text.split("\n");
  let before = 0;
  for (let count = 1; count < lines.length; count += 1) {
    const table = tryParse(lines.slice(0, count).join("\n"));
    if (table === undefined) continue;
    if (hasKey(table, keys)) break;
    before = count;
  }
  const name = keys.findLast((key) => !/^\d+$/.test(key)) ?? "";
  const column = (lines[before] ?? "").indexOf(name);
  return { line: before + 1, column: Math.max(0, column) + 1 };
}

function tryParse(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}

function hasKey(table: unknown, keys: readonly string[]): boolean {
  let place: unknown = table;
  for (const key of keys) {
    if (typeof place !== "object" || place === null || !Object.hasOwn(place, key)) return false;
    place = (place as Record<string, unknown>)[key];
  }
  return true;
}
