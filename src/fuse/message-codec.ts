/**
 * What all message bodies have in common: they are read and written field by field.
 *
 * @module
 */
import { decodePathText, encodePathText, NO_BYTES } from "../bytes/index.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";

/**
 * The two directions of one message body, exact inverses up to padding.
 *
 * `decode` throws `FUSE_INVALID` for bytes that break the layout, `encode` for values that do not fit it.
 */
export interface MessageCodec<T> {
  readonly decode: (reader: MessageReader) => T;
  readonly encode: (value: T, writer: MessageWriter) => void;
}

/** A body without fields. */
export type EmptyBody = Readonly<Record<never, never>>;

const EMPTY: EmptyBody = Object.freeze({});

/** A body of no bytes. */
export const emptyBody: MessageCodec<EmptyBody> = { decode: () => EMPTY, encode: () => undefined };

/** A body of any bytes, the rest of the message. Decoded arrays are views. */
export const rawBody: MessageCodec<Uint8Array> = {
  decode: (reader) => (reader.remaining === 0 ? NO_BYTES : reader.rest()),
  encode: (value, writer) => {
    writer.bytes(value);
  },
};

/** Decodes all bytes as one body; `what` names it in errors. */
export function decodeBody<T>(codec: MessageCodec<T>, bytes: Uint8Array, what = "body"): T {
  const reader = new MessageReader(bytes, what);
  const value = codec.decode(reader);
  reader.end();
  return value;
}

/** Encodes one body into a new array. */
export function encodeBody<T>(codec: MessageCodec<T>, value: T): Uint8Array {
  const writer = new MessageWriter();
  codec.encode(value, writer);
  return writer.written();
}

/** A file name that ends with a zero byte, as path text. */
export function readName(reader: MessageReader): string {
  return decodePathText(reader.terminated());
}

/** The inverse of {@linkcode readName}. */
export function writeName(name: string, writer: MessageWriter): void {
  writer.terminated(encodePathText(name));
}
