/**
 * Reads one header block; the layout is in ustar-layout.ts.
 *
 * @module
 */
import { decodeField } from "./header-text.ts";
import { checksumOf, signedChecksumOf } from "./tar-checksum.ts";
import { invalidTar } from "./tar-error.ts";
import { decodeTarNumber } from "./tar-number.ts";
import { USTAR, type HeaderField, type UstarDialect } from "./ustar-layout.ts";

/** The fields of a header block as they stand, before extension headers override them. */
export interface UstarHeader {
  readonly dialect: UstarDialect;
  /** The type flag as a character, NUL included. */
  readonly typeFlag: string;
  /** Prefix and name joined. */
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Whole seconds, may be negative. */
  readonly mtime: number;
  readonly linkName: string;
  readonly userName: string;
  readonly groupName: string;
  /** 0 but for types 3 and 4. */
  readonly devMajor: number;
  readonly devMinor: number;
}

/**
 * Decodes a header block of 512 bytes that lies at `offset` of the tar.
 *
 * @throws TAR_INVALID for a wrong checksum or a field that holds no number.
 */
export function decodeUstarHeader(block: Uint8Array, offset: number): UstarHeader {
  checkChecksum(block, offset);
  const dialect = dialectOf(block);
  const typeFlag = String.fromCharCode(block[USTAR.type.at] ?? 0);
  const hasNames = dialect !== "v7";
  const isDevice = hasNames && (typeFlag === "3" || typeFlag === "4");
  return {
    dialect,
    typeFlag,
    name: nameOf(block, dialect),
    mode: decodeCount(block, "mode", offset),
    uid: decodeCount(block, "uid", offset),
    gid: decodeCount(block, "gid", offset),
    size: decodeCount(block, "size", offset),
    mtime: decodeNumber(block, "mtime", offset),
    linkName: decodeField(block, USTAR.linkName),
    userName: hasNames ? decodeField(block, USTAR.userName) : "",
    groupName: hasNames ? decodeField(block, USTAR.groupName) : "",
    devMajor: isDevice ? decodeCount(block, "devMajor", offset) : 0,
    devMinor: isDevice ? decodeCount(block, "devMinor", offset) : 0,
  };
}

function checkChecksum(block: Uint8Array, offset: number): void {
  const stated = decodeTarNumber(block, USTAR.checksum.at, USTAR.checksum.size);
  const actual = checksumOf(block);
  if (stated === actual || stated === signedChecksumOf(block)) return;
  throw invalidTar("header", offset, `expected checksum ${actual}, got ${stated ?? "no number"}`);
}

function dialectOf(block: Uint8Array): UstarDialect {
  if (!startsWith(block, USTAR.magic.at, "ustar")) return "v7";
  if (startsWith(block, USTAR.magic.at + 5, "  \0")) return "gnu";
  return block[USTAR.magic.at + 5] === 0 ? "ustar" : "v7";
}

function nameOf(block: Uint8Array, dialect: UstarDialect): string {
  const name = decodeField(block, USTAR.name);
  if (dialect !== "ustar" || block[USTAR.prefix.at] === 0) return name;
  const isStar = startsWith(block, USTAR.starMagic.at, "tar\0");
  const prefix = decodeField(block, isStar ? USTAR.starPrefix : USTAR.prefix);
  return name === "" ? prefix : `${prefix}/${name}`;
}

type NumberField = "mode" | "uid" | "gid" | "size" | "mtime" | "devMajor" | "devMinor";

function decodeCount(block: Uint8Array, name: NumberField, offset: number): number {
  const value = decodeNumber(block, name, offset);
  if (value < 0) throw invalidTar(`${name} of header`, offset, `expected 0 or more, got ${value}`);
  return value;
}

function decodeNumber(block: Uint8Array, name: NumberField, offset: number): number {
  const field: HeaderField = USTAR[name];
  const value = decodeTarNumber(block, field.at, field.size);
  if (value === undefined) {
    throw invalidTar(`${name} of header`, offset, "expected an octal or base-256 number, got other bytes");
  }
  return value;
}

function startsWith(block: Uint8Array, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (block[at + i] !== text.charCodeAt(i)) return false;
  return true;
}
