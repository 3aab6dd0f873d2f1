/**
 * Files as block devices.
 *
 * ```text
 * struct loop_config, from loop(4) and linux/loop.h
 * offset size what
 * 0      4    descriptor of the file
 * 4      4    block size (zero: 512)
 * 8      232  struct loop_info64
 *   +52  4    flags: 1 read-only, 4 autoclear, 16 direct I/O
 *   +56  64   name of the file, for people, zero-terminated
 * 240    64   zeros
 *        = 304
 * ```
 *
 * @module
 */
import { open, type FileHandle } from "node:fs/promises";
import { encodePathText } from "../bytes/index.ts";
import { systemCodeOf } from "../errors/index.ts";
import { ioctl } from "./native-calls.ts";
import { usePoolShare } from "./pool-share.ts";

const CONTROL = "/dev/loop-control";
const LOOP_CTL_GET_FREE = 0x4c82;
const LOOP_CONFIGURE = 0x4c0a;
const CONFIG_SIZE = 4 + 4 + 232 + 64;
const FLAGS_OFFSET = 8 + 52;
const NAME_OFFSET = 8 + 56;
const NAME_LIMIT = 63;
const READ_ONLY = 1;
const AUTOCLEAR = 4;

/** How often another process may be faster with the device that was free. */
const ATTEMPTS = 100;

/** Read-only loop devices. Those that nothing mounted when this is disposed are free again, the others with their mount. */
export class LoopDevices implements AsyncDisposable {
  readonly #handles: FileHandle[] = [];

  /** Attaches a file to a free device (Linux 5.8); returns the device's path. A last part of less than 512 bytes is lost. */
  async attach(path: string): Promise<string> {
    const file = await usePoolShare(() => open(Buffer.from(encodePathText(path)), "r"));
    try {
      return await this.#configure(encodeLoopConfig(file.fd, path));
    } finally {
      await usePoolShare(() => file.close());
    }
  }

  async #configure(config: Uint8Array): Promise<string> {
    await using control = await open(CONTROL, "r+");
    for (let attempt = 1; ; attempt += 1) {
      const device = `/dev/loop${await ioctl(control.fd, LOOP_CTL_GET_FREE)}`;
      // Waits while another configures the same device, which may wait for a file.
      const handle = await usePoolShare(() => open(device, "r"));
      try {
        await ioctl(handle.fd, LOOP_CONFIGURE, config);
        this.#handles.push(handle);
        return device;
      } catch (error) {
        await usePoolShare(() => handle.close());
        if (systemCodeOf(error) !== "EBUSY" || attempt >= ATTEMPTS) throw error;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles.splice(0)) await usePoolShare(() => handle.close());
  }
}

function encodeLoopConfig(fd: number, path: string): Uint8Array {
  const config = new Uint8Array(CONFIG_SIZE);
  const words = new Uint32Array(config.buffer);
  words[0] = fd;
  words[FLAGS_OFFSET / 4] = READ_ONLY | AUTOCLEAR;
  config.set(encodePathText(path).subarray(0, NAME_LIMIT), NAME_OFFSET);
  return config;
}
