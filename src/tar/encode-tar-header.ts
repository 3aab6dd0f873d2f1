/**
 * Writes an entry's header: one ustar block, and before it a PAX header for what ustar cannot hold.
 *
 * | value                                   | in ustar when                                              | else PAX record   |
 * | --------------------------------------- | ---------------------------------------------------------- | ----------------- |
 * | name                                    | ASCII, at most 100 bytes, or 155 + slash + 100              | path              |
 * | linkName                                | ASCII, at most 100 bytes                                   | linkpath          |
 * | uid, gid                                | below 8^7                                                  | uid, gid          |
 * | size                                    | below 8^11                                                 | size              |
 * | mtime                                   | 0 to 8^11 - 1, no fraction                                 | mtime             |
 * | userName, groupName                     | ASCII, at most 31 bytes                                    | uname, gname      |
 * | xattrs                                  | never                                                      | SCHILY.xattr.NAME |
 *
 * Records are sorted by key; the PAX header has a fixed name, no owner and no time, so equal metadata gives equal bytes.
 *
 * @module
 */
import { concatBytes, encodePathText, encodeUtf8, NO_BYTES } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { xattrKey } from "./pax-attributes.ts";
import { encodePaxRecords, type PaxRecord } from "./pax-record.ts";
import { encodePaxTime } from "./pax-time.ts";
import { checksumOf } from "./tar-checksum.ts";
import { paddingOf, TAR_BLOCK_SIZE } from "./tar-block.ts";
import type { TarEntryType, TarMetadata } from "./tar-entry.ts";
import { encodeOctal, maxOctal } from "./tar-number.ts";
import { USTAR, type HeaderField } from "./ustar-layout.ts";

const TYPE_FLAGS: Readonly<Record<TarEntryType, string>> = {
  reg: "0",
  hardlink: "1",
  symlink: "2",
  char: "3",
  block: "4",
  dir: "5",
  fifo: "6",
};
const MAGIC = encodeUtf8("ustar\u000000");
const PAX_HEADER_NAME = encodeUtf8("././@PaxHeader");
const SLASH = 0x2f;

/** What goes into a ustar block; all of it must fit. */
interface UstarFields {
  readonly prefix: Uint8Array;
  readonly name: Uint8Array;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly typeFlag: string;
  readonly linkName: Uint8Array;
  readonly userName: Uint8Array;
  readonly groupName: Uint8Array;
  readonly devMajor: number;
  readonly devMinor: number;
}

/**
 * Encodes the header blocks of an entry; its content, padded to whole blocks, must follow. Deterministic: equal metadata
 * gives equal bytes.
 *
 * Only what the type has is written: `size` of a `reg`, `linkName` of links, device numbers of devices.
 *
 * @throws PATH_INVALID for a name that is empty, or a name or target that holds a NUL
 * @throws TAR_INVALID for numbers that no tar holds
 */
export function encodeTarHeader(metadata: TarMetadata): Uint8Array {
  checkMetadata(metadata);
  const records: PaxRecord[] = [];
  const block = encodeBlock(fieldsOf(metadata, records));
  for (const [name, value] of metadata.xattrs) records.push({ key: xattrKey(name), value });
  if (records.length === 0) return block;
  records.sort((a, b) => (a.key < b.key ? -1 : 1));
  return concatBytes([...encodePaxHeader(records), block]);
}

/** The ustar fields; what does not fit goes to `records`. */
function fieldsOf(metadata: TarMetadata, records: PaxRecord[]): UstarFields {
  const { type, name } = metadata;
  const isLink = type === "symlink" || type === "hardlink";
  const isDevice = type === "char" || type === "block";
  return {
    ...placePath(encodePathText(name), records),
    mode: metadata.mode,
    uid: placeNumber({ key: "uid", value: metadata.uid, field: USTAR.uid }, records),
    gid: placeNumber({ key: "gid", value: metadata.gid, field: USTAR.gid }, records),
    size: placeNumber({ key: "size", value: type === "reg" ? metadata.size : 0, field: USTAR.size }, records),
    mtime: placeTime(metadata, records),
    typeFlag: TYPE_FLAGS[type],
    linkName: placeText(
      { key: "linkpath", text: isLink ? metadata.linkName : "", limit: USTAR.linkName.size },
      records,
    ),
    userName: placeText({ key: "uname", text: metadata.userName, limit: USTAR.userName.size - 1 }, records),
    groupName: placeText(
      { key: "gname", text: metadata.groupName, limit: USTAR.groupName.size - 1 },
      records,
    ),
    devMajor: isDevice ? metadata.devMajor : 0,
    devMinor: isDevice ? metadata.devMinor : 0,
  };
}

function placePath(path: Uint8Array, records: PaxRecord[]): { prefix: Uint8Array; name: Uint8Array } {
  if (isAscii(path)) {
    if (path.length <= USTAR.name.size) return { prefix: NO_BYTES, name: path };
    const split = splitAt(path);
    if (split > 0) return { prefix: path.subarray(0, split), name: path.subarray(split + 1) };
  }
  records.push({ key: "path", value: path });
  return { prefix: NO_BYTES, name: asciiStart(path, USTAR.name.size) };
}

/** The slash at which a long name parts into prefix and name, or -1: the first that leaves a name short enough. */
function splitAt(path: Uint8Array): number {
  const slash = path.indexOf(SLASH, Math.max(1, path.length - USTAR.name.size - 1));
  return slash !== -1 && slash <= USTAR.prefix.size && slash < path.length - 1 ? slash : -1;
}

function placeText(item: { key: string; text: string; limit: number }, records: PaxRecord[]): Uint8Array {
  const bytes = encodePathText(item.text);
  if (bytes.length <= item.limit && isAscii(bytes)) return bytes;
  records.push({ key: item.key, value: bytes });
  return asciiStart(bytes, item.limit);
}

function placeNumber(item: { key: string; value: number; field: HeaderField }, records: PaxRecord[]): number {
  if (item.value <= maxOctal(item.field.size)) return item.value;
  records.push({ key: item.key, value: encodeUtf8(String(item.value)) });
  return 0;
}

function placeTime(metadata: TarMetadata, records: PaxRecord[]): number {
  const { seconds, nanoseconds } = metadata.mtime;
  const fits = seconds >= 0 && seconds <= maxOctal(USTAR.mtime.size);
  if (!fits || nanoseconds > 0)
    records.push({ key: "mtime", value: encodeUtf8(encodePaxTime(metadata.mtime)) });
  return fits ? seconds : 0;
}

/** What readers without PAX see: the ASCII bytes of a text, as many as fit. */
function asciiStart(bytes: Uint8Array, limit: number): Uint8Array {
  return bytes.filter((byte) => byte < 0x80).subarray(0, limit);
}

function isAscii(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte < 0x80);
}

function encodePaxHeader(records: readonly PaxRecord[]): readonly Uint8Array[] {
  const payload = encodePaxRecords(records);
  const header = encodeBlock({
    prefix: NO_BYTES,
    name: PAX_HEADER_NAME,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: payload.length,
    mtime: 0,
    typeFlag: "x",
    linkName: NO_BYTES,
    userName: NO_BYTES,
    groupName: NO_BYTES,
    devMajor: 0,
    devMinor: 0,
  });
  return [header, payload, new Uint8Array(paddingOf(payload.length))];
}

function encodeBlock(fields: UstarFields): Uint8Array {
  const block = new Uint8Array(TAR_BLOCK_SIZE);
  for (const key of ["name", "linkName", "userName", "groupName", "prefix"] as const)
    block.set(fields[key], USTAR[key].at);
  for (const key of ["mode", "uid", "gid", "size", "mtime", "devMajor", "devMinor"] as const) {
    encodeOctal(block, USTAR[key].at, { size: USTAR[key].size, value: fields[key] });
  }
  block[USTAR.type.at] = fields.typeFlag.charCodeAt(0);
  block.set(MAGIC, USTAR.magic.at);
  // Six digits, NUL, space: the checksum alone ends so.
  const sum = checksumOf(block);
  encodeOctal(block, USTAR.checksum.at, { size: USTAR.checksum.size - 1, value: sum });
  block[USTAR.checksum.at + USTAR.checksum.size - 1] = 0x20;
  return block;
}

function checkMetadata(metadata: TarMetadata): void {
  const { name, linkName, mtime } = metadata;
  if (name === "")
    throw new EsgzError("PATH_INVALID", 'Cannot encode tar entry "": expected a name, got none');
  if (name.includes("\0") || linkName.includes("\0")) {
    throw new EsgzError(
      "PATH_INVALID",
      `Cannot encode tar entry ${JSON.stringify(name)}: expected no NUL in its names`,
    );
  }
  const maxDevice = maxOctal(USTAR.devMajor.size);
  checkNumber(metadata, "mode", 0o7777);
  checkNumber(metadata, "uid", Number.MAX_SAFE_INTEGER);
  checkNumber(metadata, "gid", Number.MAX_SAFE_INTEGER);
  checkNumber(metadata, "size", Number.MAX_SAFE_INTEGER);
  checkNumber(metadata, "devMajor", maxDevice);
  checkNumber(metadata, "devMinor", maxDevice);
  const isTime = Number.isSafeInteger(mtime.seconds) && isCount(mtime.nanoseconds, 999_999_999);
  if (!isTime) throw unencodable(metadata, "mtime of whole seconds and 0 to 999999999 nanoseconds");
  const texts = [metadata.userName, metadata.groupName, ...metadata.xattrs.keys()];
  if (texts.some((text) => text.includes("\0")))
    throw unencodable(metadata, "no NUL in owner and attribute names");
}

function checkNumber(
  metadata: TarMetadata,
  key: "mode" | "uid" | "gid" | "size" | "devMajor" | "devMinor",
  limit: number,
): void {
  if (isCount(metadata[key], limit)) return;
  throw unencodable(metadata, `${key} from 0 to ${limit}, got ${metadata[key]}`);
}

function isCount(value: number, limit: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= limit;
}

function unencodable(metadata: TarMetadata, wanted: string): EsgzError {
  return new EsgzError(
    "TAR_INVALID",
    `Cannot encode tar entry ${JSON.stringify(metadata.name)}: expected ${wanted}`,
  );
}
