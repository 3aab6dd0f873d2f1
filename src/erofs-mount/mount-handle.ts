/**
 * A mount that somebody owns.
 *
 * @module
 */
import { resolve } from "node:path";
import { isEsgzError } from "../errors/index.ts";
import { mountIdAt } from "./filesystem-context.ts";
import { umount } from "./native-calls.ts";
import { unmountById, type UnmountOptions } from "./unmount.ts";

/** A mount made here. Disposing takes it away at once, even while it is in use (lazily). */
export interface Mount extends AsyncDisposable {
  /** Where it was put, absolute. */
  readonly directory: string;
  /** Its id in the mount table. */
  readonly id: number;
  /**
   * Takes it away; does nothing if it is gone already, whoever took it, and touches no other mount that came to its place.
   *
   * @throws {EsgzError} `MOUNT_FAILED` with `details.errno` EBUSY if it is in use; it stays, and may be closed again.
   */
  close(options?: UnmountOptions): Promise<void>;
}

/** The mount with an id of the mount table. */
export class MountHandle implements Mount {
  readonly directory: string;
  readonly id: number;
  #closed = false;

  constructor(directory: string, id: number) {
    this.directory = resolve(directory);
    this.id = id;
  }

  async close(options: UnmountOptions = {}): Promise<void> {
    if (this.#closed) return;
    await unmountById(this.id, options);
    // Ids are given out again.
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      if (!isEsgzError(error, "MOUNT_FAILED") || error.details["errno"] !== "EBUSY") throw error;
      await this.close({ lazy: true });
    }
  }
}

/** The id of what `mount(2)` just put on a directory. If there is none to find, the mount goes again. */
export async function adoptMountAt(directory: string): Promise<number> {
  try {
    return await mountIdAt(directory);
  } catch (error) {
    await umount(directory, { lazy: true, follow: true });
    throw error;
  }
}
