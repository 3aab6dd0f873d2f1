/**
 * Extended attributes: values and lists are asked for with the room there is, or with none to learn the size.
 *
 *     getxattr    4 room, 4 padding, name, zero byte
 *     listxattr   4 room, 4 padding
 *     the reply   with room 0: 4 size, 4 padding; else the value, or the names each with a zero byte
 *     setxattr    4 size, 4 flags, name, zero byte, value
 *
 * @module
 */
import { decodePathText, encodePathText, concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { readName, writeName, type MessageCodec } from "./message-codec.ts";

/** Asks for a value. */
export interface GetxattrRequest {
  /** The most bytes the caller has room for; 0 asks for the size only. */
  readonly room: number;
  readonly name: string;
}

/** Asks for the names. */
export interface ListxattrRequest {
  /** The most bytes the caller has room for; 0 asks for the size only. */
  readonly room: number;
}

/** Sets a value. */
export interface SetxattrRequest {
  readonly flags: number;
  readonly name: string;
  readonly value: Uint8Array;
}

/** `struct fuse_getxattr_in` and the name. */
export const getxattrCodec: MessageCodec<GetxattrRequest> = {
  decode(reader) {
    const room = reader.u32();
    reader.skip(4);
    return { room, name: readName(reader) };
  },
  encode(value, writer) {
    writer.u32(value.room).zeros(4);
    writeName(value.name, writer);
  },
};

/** `struct fuse_getxattr_in` alone. */
export const listxattrCodec: MessageCodec<ListxattrRequest> = {
  decode(reader) {
    const room = reader.u32();
    reader.skip(4);
    return { room };
  },
  encode: (value, writer) => {
    writer.u32(value.room).zeros(4);
  },
};

/** `struct fuse_getxattr_out`: a size in bytes. */
export const xattrSizeCodec: MessageCodec<number> = {
  decode(reader) {
    const size = reader.u32();
    reader.skip(4);
    return size;
  },
  encode: (value, writer) => {
    writer.u32(value).zeros(4);
  },
};

/** `struct fuse_setxattr_in` in its short form, name and value. */
export const setxattrCodec: MessageCodec<SetxattrRequest> = {
  decode(reader) {
    const [size, flags] = [reader.u32(), reader.u32()];
    const name = readName(reader);
    return { flags, name, value: reader.bytes(size) };
  },
  encode(value, writer) {
    writer.u32(value.value.length).u32(value.flags);
    writeName(value.name, writer);
    writer.bytes(value.value);
  },
};

/** The list of names as `listxattr(2)` gives it: a zero byte after each. */
export function encodeXattrNames(names: Iterable<string>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const name of names) parts.push(encodePathText(name), encodeUtf8("\0"));
  return concatBytes(parts);
}

/** The inverse of {@linkcode encodeXattrNames}; what follows the last zero byte is dropped. */
export function decodeXattrNames(bytes: Uint8Array): string[] {
  const names: string[] = [];
  for (let start = 0, end = bytes.indexOf(0); end >= 0; start = end + 1, end = bytes.indexOf(0, start)) {
    names.push(decodePathText(bytes.subarray(start, end)));
  }
  return names;
}
