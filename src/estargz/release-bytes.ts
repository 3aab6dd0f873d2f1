/**
 * Giving memory back at once, instead of when the garbage collector comes round to it: large buffers pile up faster than
 * it notices, since they lie outside its heap.
 *
 * @module
 */

/** Smaller buffers may lie in the slab that node shares among them, and are not worth it. */
const MIN_SIZE = 256 * 1024;

/**
 * Frees the memory of bytes that nobody will use again; they have a length of 0 afterwards. Does nothing where the bytes
 * are a part of a larger buffer.
 */
export function releaseBytes(bytes: Uint8Array): void {
  if (bytes.byteOffset === 0) releaseBuffer(bytes);
}

/** The same for the whole buffer that the bytes lie in. */
export function releaseBuffer({ buffer }: Uint8Array): void {
  if (buffer.byteLength >= MIN_SIZE && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
