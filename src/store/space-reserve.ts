/**
 * Room on the disk that is kept for metadata: an image can be mounted, and its data served from memory, when the disk is
 * full.
 *
 * ```text
 * disk has room    reserve = one preallocated file          data is written
 * disk is full     metadata that finds no room takes it     data is refused until the reserve is whole again
 * ```
 *
 * @module
 */
import { closeSync, openSync, renameSync, rmSync, statfsSync, statSync } from "node:fs";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { preallocate } from "./native-calls.ts";

/** Metadata of many images. */
const MOST_BYTES = 32 << 20;
/** The reserve takes one part of so many of a small disk ... */
const DISK_SHARE = 64;
/** ... and of a tiny one nothing. */
const LEAST_BYTES = 1 << 20;

/** The reserve of a store: whoever has the store's lock. Where a filesystem cannot preallocate there is none. */
export class SpaceReserve {
  readonly #path: string;
  readonly #bytes: number;
  /** Whether it would be made if there were room. */
  #isPossible: boolean;
  #isWhole = false;

  /** Makes the file, or finds that of a session before. Never fails: without room it is made later. */
  constructor(path: string, directory: string) {
    this.#path = path;
    this.#bytes = reserveBytes(directory);
    this.#isPossible = this.#bytes >= LEAST_BYTES;
    this.#isWhole = statSync(path, { throwIfNoEntry: false })?.isFile() === true;
    this.restore();
  }

  /** Does what needs room for metadata; where there is none, once more with the reserve. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isEsgzError(error, "NO_SPACE") || !this.#release()) throw error;
      return await work();
    }
  }

  /** As {@link SpaceReserve.use}, for what does not wait. */
  useSync<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!isEsgzError(error, "NO_SPACE") || !this.#release()) throw error;
      return work();
    }
  }

  /** Lets data be written only when the reserve is whole. @throws {EsgzError} `NO_SPACE` */
  assertWhole(): void {
    if (this.#isWhole || !this.#isPossible || this.restore()) return;
    throw new EsgzError(
      "NO_SPACE",
      `Cannot write to store: expected ${this.#bytes} bytes of the disk to stay free for metadata, got fewer`,
      { details: { reserveBytes: this.#bytes } },
    );
  }

  /** Takes room for the reserve, if it has been used and there is some; whether it is whole now. */
  restore(): boolean {
    if (this.#isWhole || !this.#isPossible) return this.#isWhole;
    const temporary = `${this.#path}.new`;
    try {
      const fd = openSync(temporary, "w", 0o600);
      try {
        const outcome = preallocate(fd, this.#bytes);
        this.#isPossible = outcome !== "not-supported";
        this.#isWhole = outcome === "done";
      } finally {
        closeSync(fd);
      }
      if (this.#isWhole) renameSync(temporary, this.#path);
      else rmSync(temporary, { force: true });
    } catch {
      // No room even for a name.
      this.#isWhole = false;
    }
    return this.#isWhole;
  }

  #release(): boolean {
    if (!this.#isWhole) return false;
    rmSync(this.#path, { force: true });
    this.#isWhole = false;
    return true;
  }
}

function reserveBytes(directory: string): number {
  const { bsize, blocks } = statfsSync(directory);
  return Math.min(MOST_BYTES, Math.floor((bsize * blocks) / DISK_SHARE));
}
