/**
 * What the daemon has in the directory of its store.
 *
 * ```text
 * control.sock   what commands connect to
 * daemon.lock    locked by the holder while it runs; its pid
 * daemon.log     what a daemon that commands started has to say
 * ```
 *
 * @module
 */
import { join } from "node:path";

/** The paths. */
export interface DaemonFiles {
  readonly control: string;
  readonly lock: string;
  readonly log: string;
}

/** The paths in a store. */
export function daemonFilesOf(store: string): DaemonFiles {
  return {
    control: join(store, "control.sock"),
    lock: join(store, "daemon.lock"),
    log: join(store, "daemon.log"),
  };
}

/** Who asks where its store is. */
export interface StoreOwner {
  readonly uid: number;
  readonly home: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/** The store of a user who names none: `/var/lib/esgz` for root, else `esgz` in the user's data directory. */
export function defaultStoreRoot({ uid, home, variables }: StoreOwner): string {
  if (uid === 0) return "/var/lib/esgz";
  const data = variables["XDG_DATA_HOME"];
  return join(data === undefined || data === "" ? join(home, ".local/share") : data, "esgz");
}

/** The configuration file that is read when none is named: it need not exist. */
export function defaultConfigPath({ uid, home, variables }: StoreOwner): string {
  if (uid === 0) return "/etc/esgz/config.toml";
  const config = variables["XDG_CONFIG_HOME"];
  return join(config === undefined || config === "" ? join(home, ".config") : config, "esgz/config.toml");
}
