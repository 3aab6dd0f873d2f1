/**
 * The header block of a tar entry (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").
 *
 * | field    | offset | size | in                                                                 |
 * | -------- | -----: | ---: | ------------------------------------------------------------------ |
 * | name     |      0 |  100 | all                                                                |
 * | mode     |    100 |    8 | all                                                                |
 * | uid      |    108 |    8 | all                                                                |
 * | gid      |    116 |    8 | all                                                                |
 * | size     |    124 |   12 | all                                                                |
 * | mtime    |    136 |   12 | all                                                                |
 * | checksum |    148 |    8 | all                                                                |
 * | type     |    156 |    1 | all                                                                |
 * | linkName |    157 |  100 | all                                                                |
 * | magic    |    257 |    8 | `ustar\0` + version `00`: POSIX; `ustar  \0`: GNU; anything else: v7 |
 * | userName |    265 |   32 | POSIX, GNU                                                         |
 * | groupName|    297 |   32 | POSIX, GNU                                                         |
 * | devMajor |    329 |    8 | POSIX, GNU                                                         |
 * | devMinor |    337 |    8 | POSIX, GNU                                                         |
 * | prefix   |    345 |  155 | POSIX (131 when bytes 508 to 511 are `tar\0`: star)                |
 * | sparse   |    386 |   96 | GNU type S: 4 times offset (12) and size (12)                      |
 * | extended |    482 |    1 | GNU type S: not 0 when extension blocks follow                     |
 * | realSize |    483 |   12 | GNU type S: the file's size with holes                             |
 *
 * @module
 */

/** Where a field lies in the header block. */
export interface HeaderField {
  readonly at: number;
  readonly size: number;
}

type FieldName =
  | "name"
  | "mode"
  | "uid"
  | "gid"
  | "size"
  | "mtime"
  | "checksum"
  | "type"
  | "linkName"
  | "magic"
  | "userName"
  | "groupName"
  | "devMajor"
  | "devMinor"
  | "prefix"
  | "starPrefix"
  | "starMagic";

/** The fields of the table above. */
export const USTAR: Readonly<Record<FieldName, HeaderField>> = {
  name: { at: 0, size: 100 },
  mode: { at: 100, size: 8 },
  uid: { at: 108, size: 8 },
  gid: { at: 116, size: 8 },
  size: { at: 124, size: 12 },
  mtime: { at: 136, size: 12 },
  checksum: { at: 148, size: 8 },
  type: { at: 156, size: 1 },
  linkName: { at: 157, size: 100 },
  magic: { at: 257, size: 8 },
  userName: { at: 265, size: 32 },
  groupName: { at: 297, size: 32 },
  devMajor: { at: 329, size: 8 },
  devMinor: { at: 337, size: 8 },
  prefix: { at: 345, size: 155 },
  starPrefix: { at: 345, size: 131 },
  starMagic: { at: 508, size: 4 },
};

/** The dialect that the magic names. */
export type UstarDialect = "v7" | "ustar" | "gnu";
