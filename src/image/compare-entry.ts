/**
 * Whether a table of contents says of a file what the tar's header says.
 *
 * @module
 */
import { equalBytes } from "../bytes/index.ts";
import type { TocEntry } from "../estargz/index.ts";
import { cleanPath, type TarEntry, type Timestamp } from "../tar/index.ts";

const NUMBERS = ["size", "mode", "uid", "gid", "devMajor", "devMinor"] as const;
const NAMES = ["userName", "groupName"] as const;
const SECOND_NS = 1_000_000_000n;

/**
 * The differences, as clauses for people; none if the two agree. Allowed are what the formats lose: a time rounded to
 * the second, and owner names, which a table of contents has only where they change.
 */
export function compareEntry(toc: TocEntry, tar: TarEntry): readonly string[] {
  const differences: string[] = [];
  const check = (field: string, expected: unknown, found: unknown): void => {
    if (expected !== found)
      differences.push(`${field} is ${show(found)} in the tar, ${show(expected)} in the TOC`);
  };
  check("type", toc.type, tar.type);
  for (const field of NUMBERS) check(field, toc[field], tar[field]);
  for (const field of NAMES) {
    if (toc[field] !== "" && tar[field] !== "") check(field, toc[field], tar[field]);
  }
  check("link target", toc.linkName, tar.type === "hardlink" ? cleanPath(tar.linkName) : tar.linkName);
  if (!isSameTime(toc.mtime, tar.mtime)) check("mtime", timeText(toc.mtime), timeText(tar.mtime));
  differences.push(...compareXattrs(toc.xattrs, tar.xattrs));
  return differences;
}

function compareXattrs(
  toc: ReadonlyMap<string, Uint8Array>,
  tar: ReadonlyMap<string, Uint8Array>,
): readonly string[] {
  const names = [...new Set([...toc.keys(), ...tar.keys()])];
  return names.flatMap((name) => {
    const [expected, found] = [toc.get(name), tar.get(name)];
    const same = expected !== undefined && found !== undefined && equalBytes(expected, found);
    return same ? [] : [`xattr ${show(name)} differs`];
  });
}

/** The same instant, or whole seconds less than one away from the tar's time. */
function isSameTime(toc: Timestamp, tar: Timestamp): boolean {
  const distance = nanosecondsOf(toc) - nanosecondsOf(tar);
  if (distance === 0n) return true;
  return toc.nanoseconds === 0 && distance > -SECOND_NS && distance < SECOND_NS;
}

function nanosecondsOf({ seconds, nanoseconds }: Timestamp): bigint {
  return BigInt(seconds) * SECOND_NS + BigInt(nanoseconds);
}

function timeText({ seconds, nanoseconds }: Timestamp): string {
  return `${seconds}.${String(nanoseconds).padStart(9, "0")}`;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? "undefined";
}
