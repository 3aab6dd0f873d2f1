/**
 * The FUSE sessions that outlive servers.
 *
 * @module
 */
import { closeSync } from "node:fs";
import type { AdoptedSession } from "./holder-messages.ts";
import { loadNativeCalls, POLL } from "./native-calls.ts";

/** Keeps a copy of the device of each FUSE mount: as long as it is open, the mount lives. */
export class FuseShelf {
  readonly #sessions = new Map<string, AdoptedSession>();

  /** @param inherited sessions whose descriptors this process has already. */
  constructor(inherited: readonly AdoptedSession[] = []) {
    for (const session of inherited) this.#keep(session);
  }

  /** All sessions, with descriptors of this process. */
  get sessions(): readonly AdoptedSession[] {
    return [...this.#sessions.values()];
  }

  /**
   * Copies the descriptor of a session out of the process that made it, a child of this one.
   *
   * @returns why that failed, or undefined.
   */
  adopt(session: AdoptedSession, pid: number): string | undefined {
    const fd = loadNativeCalls().copyDescriptor(pid, session.fd);
    if (fd < 0) return `errno ${-fd}`;
    this.release(session.id);
    this.#keep({ ...session, fd });
    return undefined;
  }

  /** Closes the copy of a session; without effect if there is none. */
  release(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined || !this.#sessions.delete(id)) return;
    closeSync(session.fd);
  }

  /** Releases the sessions whose mounts are gone: their device has failed. */
  releaseDead(): void {
    for (const { id, fd } of this.sessions) {
      if ((loadNativeCalls().poll(fd) & POLL.failed) !== 0) this.release(id);
    }
  }

  /** Releases all. */
  clear(): void {
    for (const { id } of this.sessions) this.release(id);
  }

  #keep(session: AdoptedSession): void {
    loadNativeCalls().setInherited(session.fd, false);
    this.#sessions.set(session.id, session);
  }
}
