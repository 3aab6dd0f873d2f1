/**
 * Places on a data device.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { alignUp, BLOCK_SIZE, NULL_BLOCK } from "./disk-layout.ts";

/** The size a data device can have: block addresses have 32 bits, and the last one means "hole" (16 TiB - 4 KiB). */
export const DEVICE_SIZE_LIMIT: number = NULL_BLOCK * BLOCK_SIZE;

/** Gives out places on a data device, one after the other, each at a multiple of 4096. */
export class DevicePlan {
  #size = 0;

  /** Bytes given out so far, a multiple of 4096: what the device must be able to hold. */
  get size(): number {
    return this.#size;
  }

  /**
   * The place for the next `size` bytes. Nothing is given out twice; no place is taken by 0 bytes.
   *
   * @throws {EsgzError} `LIMIT_EXCEEDED` if the device would be larger than {@linkcode DEVICE_SIZE_LIMIT}.
   */
  place(size: number): number {
    const offset = this.#size;
    const end = offset + alignUp(size, BLOCK_SIZE);
    if (!(end <= DEVICE_SIZE_LIMIT)) {
      const text = `Cannot place ${size} bytes on a data device: expected at most ${DEVICE_SIZE_LIMIT} bytes, got ${end}`;
      throw new EsgzError("LIMIT_EXCEEDED", text);
    }
    this.#size = end;
    return offset;
  }
}
