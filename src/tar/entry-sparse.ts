/**
 * Which of the sparse forms an entry has, and its map; the forms are in sparse-map.ts.
 *
 * @module
 */
import { paxNumber, paxText, type PaxAttributes } from "./pax-attributes.ts";
import type { PaxRecord } from "./pax-record.ts";
import { decodeSparseList, decodeSparseRecords, type SparseContext, type SparseMap } from "./sparse-map.ts";
import { invalidTar } from "./tar-error.ts";

/**
 * Whether the records announce a map of PAX sparse 1.0 before the content.
 *
 * @throws TAR_INVALID for versions that are not known.
 */
export function announcesSparseMap(attributes: PaxAttributes, offset: number): boolean {
  const major = paxNumber(attributes, "GNU.sparse.major", offset);
  const minor = paxNumber(attributes, "GNU.sparse.minor", offset);
  if (major === undefined && minor === undefined) return false;
  if (major === 1 && minor === 0) return true;
  if (major === 0 && (minor === 0 || minor === 1)) return false;
  throw invalidTar(
    "sparse header",
    offset,
    `expected version 0.0, 0.1 or 1.0, got ${major ?? "none"}.${minor ?? "none"}`,
  );
}

/** The file size that goes with a PAX sparse 1.0 map. @throws TAR_INVALID */
export function sparseRealSize(attributes: PaxAttributes, offset: number): number {
  const size = paxNumber(attributes, "GNU.sparse.realsize", offset);
  if (size === undefined)
    throw invalidTar("sparse header", offset, "expected a record GNU.sparse.realsize, got none");
  return size;
}

/** The map of PAX sparse 0.0 or 0.1, or undefined if the entry has none. @throws TAR_INVALID, LIMIT_EXCEEDED */
export function sparseMapFromRecords(
  attributes: PaxAttributes,
  records: readonly PaxRecord[],
  context: SparseContext,
): SparseMap | undefined {
  const { offset } = context;
  const size = paxNumber(attributes, "GNU.sparse.size", offset);
  if (size === undefined) return undefined;
  const list = paxText(attributes, "GNU.sparse.map", offset);
  const segments =
    list === undefined ? decodeSparseRecords(records, context) : decodeSparseList(list, context);
  const count = paxNumber(attributes, "GNU.sparse.numblocks", offset) ?? segments.length;
  if (count === segments.length) return { segments, size };
  throw invalidTar("sparse map of entry", offset, `expected ${count} runs, got ${segments.length}`);
}
