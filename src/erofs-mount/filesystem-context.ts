/**
 * A filesystem that is being configured, and the mount that comes of it.
 *
 * @module
 */
import { close, read } from "node:fs";
import { promisify } from "node:util";
import { identityOf, type MountIdentity } from "./mount-identity.ts";
import {
  configure,
  configureFlag,
  configureNow,
  createSuperblock,
  fsmount,
  fsopen,
  moveMount,
} from "./native-calls.ts";
import { usePoolShare } from "./pool-share.ts";

const closeFd = promisify(close);
const readFd = promisify(read);
const MESSAGE_SIZE = 4096;
const MESSAGE_LIMIT = 16;

/** The longest value of one option, in bytes. Source: `fs/fsopen.c`, where 256 include the zero. */
export const OPTION_LIMIT = 255;

/** A context of `fsopen(2)` (Linux 5.2): options one by one, each at most {@linkcode OPTION_LIMIT} bytes. */
export class FilesystemContext implements AsyncDisposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Opens a context. Fails with ENOSYS on older kernels, with ENODEV where the kernel does not have the filesystem. */
  static async open(type: string): Promise<FilesystemContext> {
    return new FilesystemContext(await fsopen(type));
  }

  /** Sets an option that the filesystem looks at when it is set. */
  async set(key: string, value: string): Promise<void> {
    await configure(this.#fd, key, value);
  }

  /** Sets an option that the filesystem only remembers. */
  setNow(key: string, value: string): void {
    configureNow(this.#fd, key, value);
  }

  setFlag(key: string): void {
    configureFlag(this.#fd, key);
  }

  /** Opens the filesystem, and makes a mount of it that lies nowhere yet. */
  async mount(attributes: number): Promise<DetachedMount> {
    await createSuperblock(this.#fd);
    return new DetachedMount(await fsmount(this.#fd, attributes));
  }

  /** What the kernel had to say since the last call, without the letter that grades it. */
  async takeMessages(): Promise<string[]> {
    const messages: string[] = [];
    for (let index = 0; index < MESSAGE_LIMIT; index += 1) {
      const message = await readMessage(this.#fd);
      if (message === undefined) break;
      messages.push(message);
    }
    return messages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await usePoolShare(() => closeFd(this.#fd));
  }
}

/** A mount that lies nowhere until it is attached; disposing drops it if it was not. */
export class DetachedMount implements AsyncDisposable {
  readonly fd: number;

  /** @param fd a descriptor of `fsmount(2)` or `open_tree(2)`, owned from here on. */
  constructor(fd: number) {
    this.fd = fd;
  }

  /** Puts it on a directory. */
  async attach(directory: string): Promise<MountIdentity> {
    // Its identity first: after the move nothing may fail.
    const identity = await identityOf(this.fd);
    await moveMount(this.fd, directory);
    return identity;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // On a thread of the pool: what was not attached is torn down here.
    await usePoolShare(() => closeFd(this.fd));
  }
}

async function readMessage(fd: number): Promise<string | undefined> {
  try {
    const { bytesRead, buffer } = await readFd(fd, Buffer.alloc(MESSAGE_SIZE), 0, MESSAGE_SIZE, null);
    return bytesRead === 0 ? undefined : buffer.toString("utf8", 0, bytesRead).trim().slice(2);
  } catch {
    // ENODATA: nothing more to say.
    return undefined;
  }
}
