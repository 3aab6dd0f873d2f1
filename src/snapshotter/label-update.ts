/**
 * Which labels an Update call changes, by its mask.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { keptLabels, type Labels } from "./snapshot.ts";

const LABELS = "labels";

/**
 * The labels after an update. Without a mask, or with the path `labels`, the given ones replace all. The path `labels.KEY` sets
 * one, everything behind the dot being its key, or removes it where the given ones have it not or empty. Pure.
 *
 * @throws {EsgzError} `REQUEST_INVALID` for any other path: nothing else can be changed.
 */
export function updatedLabels(
  old: Labels,
  given: Labels,
  options: { readonly mask: readonly string[] },
): Labels {
  const { mask } = options;
  const wrong = mask.find((path) => path !== LABELS && !path.startsWith(`${LABELS}.`));
  if (wrong !== undefined) {
    const text = `Cannot update field "${wrong}": expected "labels" or "labels." and a key`;
    throw new EsgzError("REQUEST_INVALID", text);
  }
  if (mask.length === 0 || mask.includes(LABELS)) return keptLabels(given);
  const labels = new Map(Object.entries(old));
  for (const path of mask) {
    const key = path.slice(LABELS.length + 1);
    labels.set(key, (Object.hasOwn(given, key) ? given[key] : undefined) ?? "");
  }
  return keptLabels(Object.fromEntries(labels));
}
