/**
 * The open device: requests are read from it, replies and notifications written to it.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { readSync, writeSync, writevSync, read } from "node:fs";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { ERRNO } from "./errno.ts";
import { Lookout } from "./lookout.ts";
import { loadNativeCalls, type NativeCalls } from "./native-calls.ts";

/** What came of waiting for a request. */
export type DeviceEvent =
  /** A request, valid until the next one is asked for. */
  | { readonly kind: "request"; readonly message: Uint8Array }
  /** Somebody wants the loop's attention. */
  | { readonly kind: "wake" }
  /** The device had nothing after all: another reader took it, or the caller was interrupted. */
  | { readonly kind: "none" }
  /** Unmounted, or the connection was aborted. */
  | { readonly kind: "ended" };

/** Beside the largest WRITE, the room the kernel wants for headers: it refuses reads with less. */
const HEADER_ROOM = 4096;

/** Read results that say that a request is gone or not there yet. */
const NOTHING_READ: readonly number[] = [ERRNO.ENOENT, ERRNO.EINTR, ERRNO.EAGAIN];
/** Read results that say that there will be no more requests. */
const ENDED: readonly number[] = [ERRNO.ENODEV, ERRNO.ECONNABORTED, ERRNO.EBADF];

const NONE: DeviceEvent = { kind: "none" };
const WAKE: DeviceEvent = { kind: "wake" };
const END: DeviceEvent = { kind: "ended" };
const [REQUEST_READY, WAKE_READY] = [1, 2];

/** Reads requests on one thread. The descriptors are borrowed: their owner closes them after the loop ended. */
export class FuseDevice {
  readonly #fd: number;
  readonly #wakeFd: number | undefined;
  readonly #buffer: Uint8Array;
  readonly #calls: NativeCalls | undefined;
  readonly #lookout: Lookout | undefined;

  /** `wakeFd` is an eventfd: when it can be read, waiting ends. */
  constructor(fd: number, options: { readonly maxWrite: number; readonly wakeFd: number | undefined }) {
    this.#fd = fd;
    this.#wakeFd = options.wakeFd;
    this.#buffer = new Uint8Array(options.maxWrite + HEADER_ROOM);
    this.#calls = options.wakeFd === undefined ? undefined : loadNativeCalls();
    // Between poll and read the request may be gone; a read that blocks then could not be woken.
    this.#calls?.setNonBlocking(fd);
    // Where there is one processor, whoever asks next needs it.
    this.#lookout = availableParallelism() > 1 ? new Lookout() : undefined;
  }

  /** Waits on this thread, which does nothing else meanwhile, or for `timeoutMs`. */
  wait(timeoutMs = -1): DeviceEvent {
    const calls = this.#calls;
    if (calls === undefined || this.#wakeFd === undefined) return this.#readPlain();
    const soon = timeoutMs === 0 ? undefined : this.#lookout?.watch(() => this.#look(calls));
    if (soon !== undefined) return soon;
    const ready = calls.poll(this.#fd, this.#wakeFd, timeoutMs);
    return ready < 0 ? NONE : this.#take(ready);
  }

  /** Waits while the thread does other things. */
  async waitLater(): Promise<DeviceEvent> {
    if (this.#calls === undefined || this.#wakeFd === undefined) return await this.#readLater();
    return this.#take(await this.#calls.pollLater(this.#fd, this.#wakeFd));
  }

  /** Whether `wait(0)` is possible: without native calls only waiting for ever is. */
  get canPeek(): boolean {
    return this.#calls !== undefined;
  }

  #take(ready: number): DeviceEvent {
    if ((ready & WAKE_READY) !== 0) {
      this.#calls?.read(this.#wakeFd ?? -1, this.#buffer);
      return WAKE;
    }
    if ((ready & REQUEST_READY) === 0) return NONE;
    const size = this.#calls?.read(this.#fd, this.#buffer) ?? -ERRNO.EAGAIN;
    if (size >= 0) return this.#request(size);
    return endOrNone(-size);
  }

  /** What the device has now; undefined for nothing. */
  #look(calls: NativeCalls): DeviceEvent | undefined {
    const size = calls.read(this.#fd, this.#buffer);
    if (size === -ERRNO.EAGAIN) return undefined;
    return size >= 0 ? this.#request(size) : endOrNone(-size);
  }

  #readPlain(): DeviceEvent {
    try {
      return this.#request(readSync(this.#fd, this.#buffer));
    } catch (error) {
      return endOrNone(errnoOfNode(error), error);
    }
  }

  #readLater(): Promise<DeviceEvent> {
    return new Promise((resolve, reject) => {
      read(this.#fd, this.#buffer, 0, this.#buffer.length, null, (error, size) => {
        if (error === null) {
          resolve(this.#request(size));
          return;
        }
        try {
          resolve(endOrNone(errnoOfNode(error), error));
        } catch (failure) {
          reject(failure);
        }
      });
    });
  }

  #request(size: number): DeviceEvent {
    return size === 0 ? END : { kind: "request", message: this.#buffer.subarray(0, size) };
  }
}

/** Codes of a write that say that nobody waits for it any more. */
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ENODEV", "ECONNABORTED"]);

/**
 * Writes a reply or notification, in one or two parts. Any thread may, at any time. False if nobody waits for it: the
 * caller was killed, the node is not cached, or the mount is gone.
 *
 * @throws {EsgzError} `FUSE_INVALID` if the kernel refuses it.
 */
export function writeMessage(fd: number, parts: readonly Uint8Array[]): boolean {
  try {
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) writeSync(fd, first);
    else writevSync(fd, parts);
    return true;
  } catch (error) {
    if (GONE.has(systemCodeOf(error) ?? "")) return false;
    throw new EsgzError(
      "FUSE_INVALID",
      `Cannot send FUSE message: expected the kernel to take it, got ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function endOrNone(errno: number, cause?: unknown): DeviceEvent {
  if (NOTHING_READ.includes(errno)) return NONE;
  if (ENDED.includes(errno)) return END;
  throw new EsgzError(
    "IO_FAILED",
    `Cannot read from FUSE device: expected a request, got errno ${errno}`,
    cause === undefined ? { details: { errno } } : { cause, details: { errno } },
  );
}

function errnoOfNode(error: unknown): number {
  if (typeof error === "object" && error !== null && "errno" in error && typeof error.errno === "number") {
    return Math.abs(error.errno);
  }
  throw error;
}
