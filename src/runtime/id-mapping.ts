/**
 * Which ids a user namespace has.
 *
 * @module
 */

/** Ids `inside` to `inside + count - 1` of a namespace are `outside` and following of the machine. */
export interface IdRange {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** The ids of a user namespace. */
export interface IdMapping {
  readonly uids: readonly IdRange[];
  readonly gids: readonly IdRange[];
}

/** Somebody who is not root, and the contents of the files that lend ids. */
export interface IdLenders {
  readonly uid: number;
  readonly gid: number;
  /** The login name, if there is one. */
  readonly name: string | undefined;
  /** The text of `/etc/subuid`, empty if there is none. */
  readonly subuid: string;
  /** The text of `/etc/subgid`, empty if there is none. */
  readonly subgid: string;
}

/** How many ids there are: the last number means none. */
export const ALL_IDS = 0xffff_ffff;

const MAX_ID = ALL_IDS - 1;

/** Maps nobody but the user, who becomes root. */
export function createSingleIdMapping({
  uid,
  gid,
}: {
  readonly uid: number;
  readonly gid: number;
}): IdMapping {
  return { uids: [{ inside: 0, outside: uid, count: 1 }], gids: [{ inside: 0, outside: gid, count: 1 }] };
}

/** Maps the user to root and the ids that the machine lends to 1 and following; undefined if it lends none. */
export function createIdMapping(lenders: IdLenders): IdMapping | undefined {
  const uids = parseSubordinateIds(lenders.subuid, lenders);
  const gids = parseSubordinateIds(lenders.subgid, lenders);
  if (uids.length === 0 || gids.length === 0) return undefined;
  return { uids: mapAfterRoot(lenders.uid, uids), gids: mapAfterRoot(lenders.gid, gids) };
}

/**
 * The ranges of a namespace's map. Lines that break the format are passed over.
 *
 * Source: user_namespaces(7), the first id inside, what it is outside, how many.
 */
export function parseIdMap(text: string): readonly IdRange[] {
  return text.split("\n").flatMap((line) => {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number);
    return inside === undefined || outside === undefined || count === undefined
      ? []
      : [{ inside, outside, count }];
  });
}

/** Whether all ids are themselves, as outside of all namespaces. */
export function hasAllIds({ uids, gids }: IdMapping): boolean {
  return [uids, gids].every(
    ([first]) => first?.inside === 0 && first.outside === 0 && first.count === ALL_IDS,
  );
}

/** Whether an id exists in a namespace. */
export function isMapped(ranges: readonly IdRange[], id: number): boolean {
  return ranges.some(({ inside, count }) => id >= inside && id < inside + count);
}

/**
 * The ranges that a file lends to a user, named by login name or by number. Lines that break the format are passed over.
 *
 * Source: subuid(5), `owner:first:count`.
 */
export function parseSubordinateIds(
  text: string,
  owner: { readonly uid: number; readonly name: string | undefined },
): { first: number; count: number }[] {
  return text.split("\n").flatMap((line) => {
    const [who, first, count, ...rest] = line.trim().split(":");
    if (who === undefined || who === "" || rest.length > 0) return [];
    if (who !== owner.name && who !== String(owner.uid)) return [];
    const range = { first: parseNumber(first), count: parseNumber(count) };
    return range.count > 0 && range.first + range.count - 1 <= MAX_ID ? [range] : [];
  });
}

function mapAfterRoot(root: number, ranges: readonly { first: number; count: number }[]): IdRange[] {
  const mapped: IdRange[] = [{ inside: 0, outside: root, count: 1 }];
  let inside = 1;
  for (const { first, count } of ranges) {
    mapped.push({ inside, outside: first, count });
    inside += count;
  }
  return mapped;
}

/** NaN for what is no decimal number: it fails every comparison. */
function parseNumber(text: string | undefined): number {
  return /^\d{1,10}$/.test(text ?? "") ? Number(text) : Number.NaN;
}
