/**
 * Short names for files, without characters that mean something in mount options.
 *
 * @module
 */
import { open, type FileHandle } from "node:fs/promises";
import { encodePathText } from "../bytes/index.ts";
import { usePoolShare } from "./pool-share.ts";

const O_PATH = 0o10000000;

/**
 * Gives out `/proc/self/fd/N` for paths that are too long for an option, or have a comma or colon in them. The names hold
 * until disposal; the kernel keeps what it opened through them.
 */
export class DescriptorPaths implements AsyncDisposable {
  readonly #handles: FileHandle[] = [];

  /** Another name of what lies at a path. It is not opened for reading: a FUSE server hears of a lookup only. */
  async nameFor(path: string): Promise<string> {
    const handle = await usePoolShare(() => open(Buffer.from(encodePathText(path)), O_PATH));
    this.#handles.push(handle);
    return `/proc/self/fd/${handle.fd}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const handle of this.#handles.splice(0)) await handle.close();
  }
}
