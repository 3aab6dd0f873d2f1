/**
 * The lines of the journal.
 *
 * ```text
 * 9d2a0f31 {"put":{"id":7,"name":...}}\n
 * |        |                          |
 * 0        9                          end
 * CRC-32   JSON, UTF-8: what changed
 * of the
 * JSON, hex
 * ```
 *
 * | key      | value                                                             |
 * | -------- | ----------------------------------------------------------------- |
 * | `next`   | no snapshot has, or ever had, this id or a higher one             |
 * | `put`    | a snapshot, as it is from now on; it replaces that of the same id |
 * | `remove` | the id of a snapshot that is gone                                 |
 *
 * @module
 */
import { crc32 } from "node:zlib";
import * as v from "valibot";
import { type Digest, isDigest } from "../oci/index.ts";
import type { Snapshot } from "./snapshot.ts";

/** One change. */
export type JournalLine =
  { readonly put: Snapshot } | { readonly remove: number } | { readonly next: number };

const CHECKSUM_DIGITS = 8;

const number = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const digest = v.custom<Digest>(isDigest);
const snapshotSchema = v.object({
  id: number,
  name: v.pipe(v.string(), v.minLength(1)),
  parent: v.string(),
  kind: v.picklist(["active", "view", "committed"]),
  labels: v.record(v.string(), v.string()),
  createdMs: v.number(),
  updatedMs: v.number(),
  usage: v.optional(v.object({ size: number, inodes: number })),
  remote: v.optional(
    v.object({
      digest,
      reference: v.string(),
      tocDigest: v.optional(digest),
      manifest: v.optional(digest),
      skipVerify: v.boolean(),
      owner: v.optional(v.object({ uid: number, gid: number })),
    }),
  ),
});
const lineSchema = v.union([
  v.strictObject({ put: snapshotSchema }),
  v.strictObject({ remove: number }),
  v.strictObject({ next: number }),
]);

/** A line with its line feed. */
export function encodeJournalLine(line: JournalLine): string {
  const json = JSON.stringify(line);
  return `${checksum(json)} ${json}\n`;
}

/** What a line (without its line feed) says; undefined if it is damaged or was never completed. */
export function decodeJournalLine(text: string): JournalLine | undefined {
  const json = text.slice(CHECKSUM_DIGITS + 1);
  if (text[CHECKSUM_DIGITS] !== " " || checksum(json) !== text.slice(0, CHECKSUM_DIGITS)) return undefined;
  try {
    const result = v.safeParse(lineSchema, JSON.parse(json));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(CHECKSUM_DIGITS, "0");
}
