/**
 * CRC-32C (Castagnoli), which protects the superblock.
 *
 * @module
 */

/** The polynomial 0x1EDC6F41 with its bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ POLYNOMIAL;
  return crc;
});

/** The CRC-32C register after the bytes, begun with all ones and not inverted at the end, as EROFS stores it. */
export function crc32cRegister(bytes: Uint8Array): number {
  // With a sign until the end: numbers of 32 bits without one are no integers for the machine.
  let crc = -1;
  for (let at = 0; at < bytes.length; at += 1) {
    crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[at] ?? 0)) & 0xff] ?? 0);
  }
  return crc < 0 ? crc + 2 ** 32 : crc;
}
