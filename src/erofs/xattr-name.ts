/**
 * Names of extended attributes, of which EROFS stores the prefix as a number.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";

/** A name as it is stored. */
export interface SplitXattrName {
  /** The number of the prefix. */
  readonly prefix: number;
  /** The bytes behind the prefix; none if the prefix is the whole name. */
  readonly suffix: Uint8Array;
}

/** Prefixes that take a suffix (ending in a dot) and whole names that do not. */
const PREFIXES: readonly (readonly [number: number, text: string])[] = [
  [1, "user."],
  [2, "system.posix_acl_access"],
  [3, "system.posix_acl_default"],
  [4, "trusted."],
  [6, "security."],
];
const TEXTS = new Map(PREFIXES);

/** The longest name behind a prefix, in bytes. */
const SUFFIX_LIMIT = 255;

/** The parts of a name, or undefined if EROFS cannot store it or the kernel would not show it. */
export function splitXattrName(name: string): SplitXattrName | undefined {
  for (const [prefix, text] of PREFIXES) {
    if (!name.startsWith(text)) continue;
    const suffix = encodePathText(name.slice(text.length));
    const isWhole = !text.endsWith(".");
    if (
      isWhole
        ? suffix.length === 0
        : suffix.length > 0 && suffix.length <= SUFFIX_LIMIT && !suffix.includes(0)
    ) {
      return { prefix, suffix };
    }
  }
  return undefined;
}

/** The text of a prefix, or undefined for a number without meaning. */
export function xattrPrefixText(prefix: number): string | undefined {
  return TEXTS.get(prefix);
}

/** Whether an image can have an extended attribute of this name: `user.`, `trusted.`, `security.` and POSIX ACLs. */
export function isErofsXattrName(name: string): boolean {
  return splitXattrName(name) !== undefined;
}
