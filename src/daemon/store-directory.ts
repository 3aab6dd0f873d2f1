/**
 * The directory that a daemon writes to before its store is open.
 *
 * @module
 */
import { EsgzError, messageOf } from "../errors/index.ts";
import { makeDirectoriesSync } from "../files/index.ts";

/**
 * Does something in the directory of a store, which is made if it is missing.
 *
 * @throws {EsgzError} `DAEMON_UNAVAILABLE` for whatever the system refuses.
 */
export function inStoreDirectory<T>(store: string, work: () => T): T {
  try {
    makeDirectoriesSync(store, { mode: 0o755 });
    return work();
  } catch (cause) {
    throw new EsgzError(
      "DAEMON_UNAVAILABLE",
      `Cannot start daemon of store "${store}": expected a directory to write to, got ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** Makes the directory of a store, if it is missing. @throws {EsgzError} `DAEMON_UNAVAILABLE` if the system refuses */
export function ensureStoreDirectory(store: string): void {
  inStoreDirectory(store, () => undefined);
}
