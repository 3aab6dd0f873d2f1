/**
 * CRC-64 with the polynomial of ISO 3309, reflected, as Go's `hash/crc64` has it: what tar-split keeps of a file's content.
 *
 *     x^64 + x^4 + x^3 + x + 1, bits reflected: d8000000 00000000
 *     begins as ffffffff ffffffff, and is inverted in the end
 *
 * The polynomial is so short that eight shifts touch the upper half only: the table needs no lower words.
 *
 * @module
 */

const POLYNOMIAL_HIGH = 0xd8000000;

const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let high = 0;
  let low = byte;
  for (let bit = 0; bit < 8; bit += 1) {
    const carry = low & 1;
    low = (low >>> 1) | (high << 31);
    high = (high >>> 1) ^ (carry === 1 ? POLYNOMIAL_HIGH : 0);
  }
  return high;
});

/** A checksum under way. */
export class Crc64 {
  #high = 0xffffffff;
  #low = 0xffffffff;

  /** Takes the next bytes. */
  update(bytes: Uint8Array): void {
    let high = this.#high;
    let low = this.#low;
    // An index is far faster here than an iterator, and every byte of a layer passes by.
    for (let at = 0; at < bytes.length; at += 1) {
      const index = (low ^ (bytes[at] ?? 0)) & 0xff;
      low = (low >>> 8) | (high << 24);
      high = (high >>> 8) ^ (TABLE[index] ?? 0);
    }
    this.#high = high;
    this.#low = low;
  }

  /** The eight bytes of the checksum so far, the highest first. */
  digest(): Uint8Array {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, ~this.#high);
    view.setUint32(4, ~this.#low);
    return bytes;
  }
}
