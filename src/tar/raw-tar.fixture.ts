/**
 * Tar blocks written field by field, so that tests can make what no encoder would.
 *
 * @module
 */

/** Fields of a header block, as latin-1 text. */
export interface RawHeader {
  readonly name: string;
  readonly type: string;
  readonly size?: string;
  readonly magic?: string;
  readonly prefix?: string;
}

/** A header block with a right checksum of the kind asked for. */
export function headerOf(fields: RawHeader, checksum: "unsigned" | "signed" = "unsigned"): Buffer {
  const block = Buffer.alloc(512);
  block.write(fields.name, 0, "latin1");
  block.write(fields.size ?? "", 124, "latin1");
  block.write(fields.type, 156, "latin1");
  block.write(fields.magic ?? "ustar\x0000", 257, "latin1");
  block.write(fields.prefix ?? "", 345, "latin1");
  return withChecksum(block, checksum);
}

/** A copy of a header block with other bytes at `at`; its checksum is made right, unless that is what was changed. */
export function changeHeader(block: Uint8Array, at: number, text: string): Buffer {
  const changed = Buffer.alloc(512);
  changed.set(block);
  changed.write(text, at, "latin1");
  return at === 148 ? changed : withChecksum(changed, "unsigned");
}

/** A PAX header, local or global, with records `key=value` in latin-1. */
export function paxHeader(records: readonly string[], type: "x" | "g" = "x"): Buffer {
  const payload = records.map(paxRecord).join("");
  const size = `${payload.length.toString(8).padStart(11, "0")}\0`;
  return Buffer.concat([headerOf({ name: "PaxHeader", type, size }), payloadOf(payload)]);
}

function paxRecord(record: string): string {
  let length = record.length;
  while (`${length} ${record}\n`.length !== length) length += 1;
  return `${length} ${record}\n`;
}

/** Latin-1 text, padded to whole blocks. */
export function payloadOf(text: string): Buffer {
  const payload = Buffer.alloc(Math.ceil(text.length / 512) * 512);
  payload.write(text, "latin1");
  return payload;
}

function withChecksum(block: Buffer, kind: "unsigned" | "signed"): Buffer {
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + (kind === "signed" && byte > 127 ? byte - 256 : byte), 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}
