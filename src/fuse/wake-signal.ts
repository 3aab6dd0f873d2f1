/**
 * What makes a thread look up that waits for the device.
 *
 * @module
 */
import { closeSync, writeSync } from "node:fs";
import { loadNativeCalls } from "./native-calls.ts";

/** An eventfd is written in units of 8 bytes. */
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/** An eventfd, or nothing where there are no native calls: then only requests wake a thread. */
export class WakeSignal {
  readonly fd: number | undefined;
  #isOpen: boolean;

  constructor() {
    const fd = loadNativeCalls()?.eventfd() ?? -1;
    this.fd = fd < 0 ? undefined : fd;
    this.#isOpen = fd >= 0;
  }

  /** Wakes whoever waits for it, now or next. */
  notify(): void {
    if (this.#isOpen && this.fd !== undefined) writeSync(this.fd, ONE);
  }

  /** To be called when nobody waits any more. Idempotent. */
  close(): void {
    if (this.#isOpen && this.fd !== undefined) closeSync(this.fd);
    this.#isOpen = false;
  }
}
