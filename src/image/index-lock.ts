/**
 * One writer at a time to the index of an OCI layout.
 *
 * The lock is a file that its holder made and removes; it is held for the moment that reading, changing and replacing the
 * index takes. One that stays the same for much longer belongs to a process that was killed, and is taken over.
 *
 * @module
 */
import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { type Clock, systemClock } from "../async/index.ts";
import { systemCodeOf } from "../errors/index.ts";

/** How to wait for the lock. */
export interface IndexLockOptions {
  readonly clock?: Clock | undefined;
  readonly signal?: AbortSignal | undefined;
}

const POLL_MS = 20;
const ABANDONED_MS = 30_000;

/**
 * Runs `work`, which is synchronous, while no other process (or other call) holds the lock file at `path`.
 *
 * @throws the system's errors where the file cannot be made; the signal's reason; what `work` throws.
 */
export async function withIndexLock<T>(
  path: string,
  work: () => T,
  options: IndexLockOptions = {},
): Promise<T> {
  const { clock = systemClock, signal } = options;
  let seen = "";
  let sinceMs = clock.nowMs();
  while (!take(path)) {
    const holder = identityOf(path);
    if (holder !== seen) [seen, sinceMs] = [holder, clock.nowMs()];
    else if (clock.nowMs() - sinceMs > ABANDONED_MS) rmSync(path, { force: true });
    await clock.sleep(POLL_MS, { signal });
  }
  try {
    return work();
  } finally {
    rmSync(path, { force: true });
  }
}

function take(path: string): boolean {
  try {
    closeSync(openSync(path, "wx"));
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Tells one holder's file from the next one's. */
function identityOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.ino} ${stat.mtimeNs}`;
}
