/**
 * Messages as one line of text, for logs and bug reports.
 *
 * @module
 */
import { messageOf } from "../errors/index.ts";
import { decodeReply, decodeRequest, UNIQUE_RESENT, type RawRequest } from "./message-header.ts";
import { MessageReader } from "./message-reader.ts";
import { operationName, OPERATIONS } from "./operations.ts";

const BYTES_SHOWN = 8;

/**
 * A request in the grammar `rx UNIQUE: OPERATION nNODE {FIELDS} pPID uUID`.
 *
 *     rx 6: LOOKUP n1 {name:"hello"} p812 u0
 *     rx 8: READ n2 {handle:0 offset:0 size:4096 readFlags:0 lockOwner:0 flags:32768} p812 u0
 *     rx 8 resent: READ n2 ...
 *
 * Never throws: what cannot be decoded is described with the reason.
 */
export function describeRequest(message: Uint8Array): string {
  try {
    const request = decodeRequest(message);
    const { unique, node, pid, uid } = request.header;
    const resent = unique >= UNIQUE_RESENT ? " resent" : "";
    return `rx ${unique % UNIQUE_RESENT}${resent}: ${describeOperation(request)} n${node} ${describeFields(request)} p${pid} u${uid}`;
  } catch (error) {
    return `rx invalid: ${messageOf(error)}`;
  }
}

/** A reply in the grammar `tx UNIQUE: OK, SIZE bytes` or `tx UNIQUE: errno N`, a notification as `tx notify CODE`. */
export function describeReply(message: Uint8Array): string {
  try {
    const { unique, errno, body } = decodeReply(message);
    if (unique === 0n) return `tx notify ${-errno}: ${body.length} bytes`;
    return `tx ${unique % UNIQUE_RESENT}: ${errno === 0 ? `OK, ${body.length} bytes` : `errno ${errno}`}`;
  } catch (error) {
    return `tx invalid: ${messageOf(error)}`;
  }
}

function describeOperation({ header }: RawRequest): string {
  return operationName(header.opcode) ?? `opcode ${header.opcode}`;
}

function describeFields({ header, body }: RawRequest): string {
  const name = operationName(header.opcode);
  if (name === undefined) return describeValue(body);
  try {
    return describeValue(OPERATIONS[name].request.decode(new MessageReader(body, name)));
  } catch (error) {
    return `{invalid: ${messageOf(error)}}`;
  }
}

function describeValue(value: unknown): string {
  if (value instanceof Uint8Array) {
    const shown = [...value.subarray(0, BYTES_SHOWN)].map((byte) => byte.toString(16).padStart(2, "0"));
    return `<${value.length} bytes ${shown.join("")}${value.length > BYTES_SHOWN ? "..." : ""}>`;
  }
  if (value instanceof Set) return `{${[...value].join(" ")}}`;
  if (Array.isArray(value)) return `[${value.map(describeValue).join(" ")}]`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "object" || value === null) return String(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}:${describeValue(field)}`);
  return `{${fields.join(" ")}}`;
}
