/**
 * The unit of a tar stream: blocks of 512 bytes.
 *
 * @module
 */

/** Bytes in a tar block; headers and payloads begin at multiples of it. */
export const TAR_BLOCK_SIZE = 512;

/** The regular end of an archive: two blocks of zeros. Read only. */
export const END_OF_ARCHIVE: Uint8Array = new Uint8Array(2 * TAR_BLOCK_SIZE);

/** The bytes that fill a payload of `size` bytes up to a whole number of blocks (0 to 511). */
export function paddingOf(size: number): number {
  const over = size % TAR_BLOCK_SIZE;
  return over === 0 ? 0 : TAR_BLOCK_SIZE - over;
}
