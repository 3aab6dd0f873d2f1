/**
 * Helps a server to die that was killed while it waited for itself.
 *
 * A thread that asks something of a FUSE mount, such as one that is mounting over it, cannot be killed once its question was
 * read from the device; if the process that had read it is the same one, nobody will answer. The process stays, with the
 * lock of its store, and no other server can begin. So the holder, which has a copy of the device, answers for it: with an
 * error, and only what that process asked. What others asked is left to the next server, which has the kernel send it again.
 *
 * ```text
 * struct fuse_in_header   0 u32 length  4 u32 opcode  8 u64 unique  16 u64 node  24 u32 uid  28 u32 gid  32 u32 thread  ...
 * struct fuse_out_header  0 u32 length  4 i32 error, or what is notified  8 u64 unique, 0 for notifications
 * ```
 *
 * Source: `linux/fuse.h`, fs/fuse/dev.c of Linux 6.18.
 *
 * @module
 */
import { existsSync, readFileSync, readSync, writeSync } from "node:fs";
import type { AdoptedSession } from "./holder-messages.ts";
import { logHolder } from "./holder-log.ts";
import { loadNativeCalls, POLL } from "./native-calls.ts";

const LOOK_MS = 2000;
/** Looks at a process that is dying: a slow disk may keep it for a while. Mounts are given up only after a minute. */
const PATIENT_LOOKS = 2;
const ANSWERING_LOOKS = 30;
const SIGKILL_BIT = 1n << 8n;
const OUT_HEADER = 16;
const HEADER_ROOM = 4096;
const UNIQUE_AT = 8;
const THREAD_AT = 32;
const EIO = 5;
const NOTIFY_RESEND = 7;
/** More than a kernel has under way for one connection. */
const MOST_REQUESTS = 16_384;

/** Looks at a server now and then, until it is disposed: when the server's end was noticed. */
export class DeathWatch implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #looks = 0;

  /** @param sessions those that the holder has; while there are none, nothing can be stuck. */
  constructor(pid: number, sessions: () => readonly AdoptedSession[]) {
    this.#timer = setInterval(() => {
      const found = sessions();
      if (found.length > 0) this.#look(pid, found);
    }, LOOK_MS);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(pid: number, sessions: readonly AdoptedSession[]): void {
    this.#looks = isDying(pid) ? this.#looks + 1 : 0;
    if (this.#looks <= PATIENT_LOOKS) return;
    if (this.#looks <= ANSWERING_LOOKS) {
      const answered = sessions.reduce((sum, session) => sum + answerFor(pid, session), 0);
      logHolder("error", "a server that was killed waits for its own mounts: answering for it", {
        pid,
        answered,
      });
    } else {
      logHolder("error", "a server that was killed does not end: ending its mounts", { pid });
      for (const { target } of sessions) loadNativeCalls().abortMount(target);
    }
  }
}

/** Whether a process was killed and is still there: it is a moment, or stuck. */
export function isDying(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    if (/^State:\s+Z/m.test(status)) return true;
    const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\s+([0-9a-f]+)$/gm)];
    return pending.some(([, bits = "0"]) => (BigInt(`0x${bits}`) & SIGKILL_BIT) !== 0n);
  } catch {
    return false;
  }
}

/**
 * Answers, with EIO, what threads of a process have asked of a session. To be called only while nobody serves it.
 *
 * @returns the number of answers.
 */
export function answerFor(pid: number, { fd, negotiated }: AdoptedSession): number {
  const calls = loadNativeCalls();
  const request = Buffer.alloc(negotiated.maxWrite + HEADER_ROOM);
  let answered = 0;
  try {
    if (negotiated.flags.includes("hasResend")) writeSync(fd, outHeader(NOTIFY_RESEND, 0n));
    for (let count = 0; count < MOST_REQUESTS && (calls.poll(fd) & POLL.readable) !== 0; count += 1) {
      readSync(fd, request);
      const thread = request.readUInt32LE(THREAD_AT);
      if (!existsSync(`/proc/${pid}/task/${thread}`)) continue;
      writeSync(fd, outHeader(-EIO, request.readBigUInt64LE(UNIQUE_AT)));
      answered += 1;
    }
  } catch (error) {
    logHolder("error", "cannot answer for a server that was killed", { pid, reason: String(error) });
  }
  return answered;
}

function outHeader(code: number, unique: bigint): Buffer {
  const header = Buffer.alloc(OUT_HEADER);
  header.writeUInt32LE(OUT_HEADER, 0);
  header.writeInt32LE(code, 4);
  header.writeBigUInt64LE(unique, UNIQUE_AT);
  return header;
}
