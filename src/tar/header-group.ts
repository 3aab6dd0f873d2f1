/**
 * The blocks that come before an entry's content: extension headers, the entry's own header, a sparse map.
 *
 * @module
 */
import { concatBytes } from "../bytes/index.ts";
import { decodeText, textEnd } from "./header-text.ts";
import { decodePaxRecords, type PaxRecord } from "./pax-record.ts";
import { checkLimit } from "./tar-error.ts";
import type { TarLimits } from "./tar-limits.ts";

/** Gathers the raw blocks and what the extension headers say. */
export class HeaderGroup {
  /** The tar offset of the first block. */
  readonly offset: number;
  readonly #limits: TarLimits;
  readonly #parts: Uint8Array[] = [];
  #size = 0;
  #records: readonly PaxRecord[] = [];
  #longName: string | undefined;
  #longLink: string | undefined;

  constructor(offset: number, limits: TarLimits) {
    this.offset = offset;
    this.#limits = limits;
  }

  /** The records of the PAX header, or none. */
  get records(): readonly PaxRecord[] {
    return this.#records;
  }

  /** The GNU long name, if there is one. */
  get longName(): string | undefined {
    return this.#longName;
  }

  /** The GNU long link target, if there is one. */
  get longLink(): string | undefined {
    return this.#longLink;
  }

  /** Refuses `size` more bytes before memory is taken for them. @throws LIMIT_EXCEEDED */
  reserve(size: number): void {
    checkLimit(this.#size + size, {
      limit: this.#limits.maxHeaderBytes,
      what: "header",
      offset: this.offset,
    });
  }

  /** Keeps raw blocks, in stream order. */
  addRaw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#size += bytes.length;
  }

  /** All raw blocks: a view where they lie side by side in one chunk, else a copy. */
  get raw(): Uint8Array {
    return joinViews(this.#parts);
  }

  /** Copies the raw blocks gathered so far, so that no pushed chunk is held. */
  detach(): void {
    for (const [index, part] of this.#parts.entries()) {
      if (part.byteLength !== part.buffer.byteLength) this.#parts[index] = part.slice();
    }
  }

  /** Takes the payload of a PAX header; of several the last holds. @throws TAR_INVALID */
  setPaxRecords(payload: Uint8Array, payloadOffset: number): void {
    this.#records = decodePaxRecords(payload.slice(), payloadOffset);
  }

  /** Takes the payload of a GNU long name (type L) or long link (type K); of several the last holds. @throws LIMIT_EXCEEDED */
  setLongText(typeFlag: "L" | "K", payload: Uint8Array): void {
    const size = textEnd(payload, 0, payload.length);
    checkLimit(size, { limit: this.#limits.maxPathBytes, what: "GNU long name", offset: this.offset });
    const text = decodeText(payload, 0, size);
    if (typeFlag === "L") this.#longName = text;
    else this.#longLink = text;
  }
}

function joinViews(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  if (first === undefined || parts.length === 1) return concatBytes(parts);
  let size = 0;
  for (const part of parts) {
    if (part.buffer !== first.buffer || part.byteOffset !== first.byteOffset + size)
      return concatBytes(parts);
    size += part.length;
  }
  return new Uint8Array(first.buffer, first.byteOffset, size);
}
