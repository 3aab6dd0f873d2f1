/**
 * `stargz-store` and `stargz-store-helper`: the additional layer store under the names, and with the flags and places, of the
 * programs that it replaces.
 *
 * @module
 */
import { resolve } from "node:path";
import { buffer } from "node:stream/consumers";
import type { Command } from "commander";
import { CommandContext } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { logLevelSetting } from "../reference-log-level.ts";
import { serveStore } from "../serve-store.ts";

interface Flags {
  readonly addr: string;
  readonly config: string;
  readonly logLevel: string;
  readonly root: string;
}

const DEFAULT_CONFIG = "/etc/stargz-store/config.toml";
const DEFAULT_SOCKET = "/var/lib/stargz-store/store.sock";

/** Adds the commands. */
export function registerStargzStore(program: Command, environment: Environment): void {
  program
    .command("stargz-store", { hidden: true })
    .description("what the program of this name does: esgz store with its flags and places")
    .argument("<mountpoint>", "directory, made if there is none")
    .option("--addr <socket>", "unix socket at which credentials are told", DEFAULT_SOCKET)
    .option("--config <file>", "its configuration, or that of esgz", DEFAULT_CONFIG)
    .option("--log-level <level>", "trace, debug, info, warn, error, fatal or panic", "info")
    .option("--root <dir>", "store", "/var/lib/stargz-store")
    .action(async (mountpoint: string, flags: Flags) => {
      await serveStore(new CommandContext(environment, {}), {
        store: resolve(flags.root),
        layerStores: [resolve(mountpoint)],
        credentialsAddress: flags.addr,
        configPath: resolve(flags.config),
        configIsOptional: flags.config === DEFAULT_CONFIG,
        autoStarted: false,
        ...logLevelSetting(flags.logLevel),
      });
    });
  program
    .command("stargz-store-helper", { hidden: true })
    .description("passes credentials from stdin on to a layer store: for additional-layer-store-auth-helper")
    .argument("[socket]", "the layer store's --addr", DEFAULT_SOCKET)
    .action(async (socket: string) => {
      const { tellCredentials } = await import("../../daemon/index.ts");
      await tellCredentials(await buffer(environment.stdin), { socket, signal: environment.signal });
    });
}
