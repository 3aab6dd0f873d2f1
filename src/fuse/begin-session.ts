/**
 * The first exchange on a freshly mounted device.
 *
 * @module
 */
import { readSync } from "node:fs";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { writeMessage } from "./fuse-device.ts";
import { loadNativeCalls } from "./native-calls.ts";
import { negotiateInit, refuseInit, type FuseFeatures, type Negotiated } from "./negotiate-init.ts";

/** More than any INIT; the kernel refuses reads with less room than 8 KiB. */
const BUFFER_SIZE = 128 * 1024;
const ATTEMPTS = 100;

/**
 * Agrees with the kernel on version, features and limits: to be called once, after the mount and before any server. The
 * kernel sends INIT before the mount call returns, so this does not wait.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` if the kernel is too old, `FUSE_INVALID` if the device has another request first,
 *   `IO_FAILED` if it is not mounted.
 */
export function beginSession(fd: number, features: FuseFeatures = {}): Negotiated {
  const buffer = new Uint8Array(BUFFER_SIZE);
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const message = readFirst(fd, buffer);
    if (message === undefined) continue;
    const negotiated = answer(fd, message, features);
    if (negotiated !== undefined) return negotiated;
  }
  throw new EsgzError("IO_FAILED", "Cannot begin FUSE session: expected an INIT request, got none");
}

function answer(fd: number, message: Uint8Array, features: FuseFeatures): Negotiated | undefined {
  try {
    const { reply, negotiated } = negotiateInit(message, features);
    writeMessage(fd, [reply]);
    return negotiated;
  } catch (error) {
    if (error instanceof EsgzError && error.code === "NOT_SUPPORTED") writeMessage(fd, [refuseInit(message)]);
    throw error;
  }
}

function readFirst(fd: number, buffer: Uint8Array): Uint8Array | undefined {
  try {
    return buffer.subarray(0, readSync(fd, buffer));
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EINTR") return undefined;
    if (code === "EAGAIN") {
      loadNativeCalls()?.poll(fd, -1, 50);
      return undefined;
    }
    throw new EsgzError(
      "IO_FAILED",
      `Cannot begin FUSE session: expected a mounted device, got ${messageOf(error)}`,
      { cause: error },
    );
  }
}
