/**
 * Runs the daemon of a store in the foreground.
 *
 * @module
 */
import { resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { DaemonSettings } from "../daemon/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { CommandContext } from "./command-context.ts";

/** How to run it; paths are absolute but for `address`. */
export interface ServeStoreOptions extends Omit<DaemonSettings, "sockets"> {
  /** The socket for snapshots, in place of what is configured. */
  readonly address?: string | undefined;
  /** The socket at which layer stores are told credentials. */
  readonly credentialsAddress?: string | undefined;
}

/**
 * Becomes the daemon: does not return where this process could be replaced.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`, `ALREADY_EXISTS`; as `runDaemon()`
 */
export async function serveStore(context: CommandContext, options: ServeStoreOptions): Promise<void> {
  const { address, credentialsAddress, ...settings } = options;
  const { configPath, configIsOptional } = settings;
  const { daemonSockets, defaultConfigPath, readConfig, runDaemon } = await import("../daemon/index.ts");
  // What can be said before this process becomes another one is said here.
  const parsed = await readConfig(configPath ?? defaultConfigPath(context.environment));
  if (parsed === undefined && configPath !== undefined && configIsOptional !== true)
    throw new EsgzError(
      "CONFIGURATION_INVALID",
      `Cannot read configuration "${configPath}": it is not there`,
    );
  const { keychains, snapshotter } = parsed?.config ?? NOTHING;
  if (settings.layerStores !== undefined && snapshotter.verification.disabled === true)
    throw new EsgzError(
      "CONFIGURATION_INVALID",
      `Cannot serve layers to container engines: expected verification, got disable_verification in "${configPath}"`,
    );
  const [place, credentials] = [address, credentialsAddress].map((path) => path && resolve(path));
  const sockets = daemonSockets({ keychains, snapshotter }, { address: place, credentials });
  // What has come by now is told in this turn: whoever ends this process means the daemon, which would not hear of it.
  await setImmediate();
  context.environment.signal.throwIfAborted();
  // The daemon handles signals by itself.
  using _signals = context.environment.leaveSignals();
  await runDaemon({ settings: { ...settings, sockets } });
}

const NOTHING: Parameters<(typeof import("../daemon/index.ts"))["daemonSockets"]>[0] = {
  keychains: {
    kubeconfig: { enabled: false },
    cri: { enabled: false, imageServicePath: "" },
  },
  snapshotter: { address: undefined, verification: {}, remapIds: false, prefetchBytes: 0 },
};
