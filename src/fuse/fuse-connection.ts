/**
 * What a filesystem can tell the kernel of its own accord.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { writeMessage } from "./fuse-device.ts";
import { loadNativeCalls, type NativeCalls } from "./native-calls.ts";
import type { Negotiated } from "./negotiate-init.ts";
import { encodeNotification, STORE_LIMIT, type Notification } from "./notification.ts";

/**
 * The server's end of a mount, usable on any thread that has the descriptor, which it borrows.
 *
 * Invalidations wait inside the kernel for requests about the same pages: calling them from a filesystem method, or
 * anywhere else on the thread that answers those requests, can wait for itself. Call them from another thread.
 */
export class FuseConnection {
  /** What was agreed with the kernel. */
  readonly negotiated: Negotiated;
  readonly #fd: number;

  constructor(fd: number, negotiated: Negotiated) {
    this.#fd = fd;
    this.negotiated = negotiated;
  }

  /**
   * Drops the cached attributes of a node, and its cached content from `offset` on (`size` 0: to the end); `offset` below
   * 0 leaves the content. False if the node is not cached.
   */
  invalidateInode(node: number, range: { readonly offset: number; readonly size: number }): boolean {
    return this.#notify({ kind: "inval-inode", node, ...range });
  }

  /** Drops a cached name, found or not found. False if it is not cached. */
  invalidateEntry(directory: number, name: string): boolean {
    return this.#notify({ kind: "inval-entry", directory, name });
  }

  /** Puts content into the cache of a node. False if the node is not cached. */
  store(node: number, content: { readonly offset: number; readonly bytes: Uint8Array }): boolean {
    for (let at = 0; at < content.bytes.length; at += STORE_LIMIT) {
      const bytes = content.bytes.subarray(at, at + STORE_LIMIT);
      if (!this.#notify({ kind: "store", node, offset: content.offset + at, bytes })) return false;
    }
    return true;
  }

  /**
   * Has the kernel send again what was read and not answered: after a server took over. False where the kernel cannot
   * (before Linux 6.9); then those callers wait until they are killed.
   */
  resend(): boolean {
    return this.negotiated.flags.includes("hasResend") && this.#notify({ kind: "resend" });
  }

  /**
   * Gives the kernel an open file to read from by itself, for `OpenReply.backing`. The descriptor may be closed at once.
   * The id holds the file until `closeBacking()`, also when this process dies, for as long as the mount.
   *
   * @throws {EsgzError} `NOT_SUPPORTED` if passthrough was not agreed on or is not allowed; details have the errno.
   */
  openBacking(fd: number): number {
    const calls = this.#passthroughCalls();
    const id = calls.openBacking(this.#fd, fd);
    if (id > 0) return id;
    throw new EsgzError(
      "NOT_SUPPORTED",
      `Cannot open FUSE backing file: expected the kernel to take descriptor ${fd}, got errno ${-id}`,
      { details: { errno: -id } },
    );
  }

  /** Lets go of a backing file. Files opened with it go on to use it. */
  closeBacking(id: number): void {
    this.#passthroughCalls().closeBacking(this.#fd, id);
  }

  #passthroughCalls(): NativeCalls {
    const calls = this.negotiated.flags.includes("passthrough") ? loadNativeCalls() : undefined;
    if (calls !== undefined) return calls;
    throw new EsgzError(
      "NOT_SUPPORTED",
      "Cannot use FUSE passthrough: expected a mount with passthrough and native calls, got one without",
    );
  }

  #notify(notification: Notification): boolean {
    return writeMessage(this.#fd, [encodeNotification(notification)]);
  }
}
