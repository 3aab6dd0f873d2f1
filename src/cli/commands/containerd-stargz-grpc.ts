/**
 * `containerd-stargz-grpc`: the daemon under the name, and with the flags and places, of the snapshotter that it replaces.
 *
 * @module
 */
import { resolve } from "node:path";
import type { Command } from "commander";
import { CommandContext } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { logLevelSetting } from "../reference-log-level.ts";
import { serveStore } from "../serve-store.ts";

interface Flags {
  readonly address: string;
  readonly config: string;
  readonly logLevel: string;
  readonly root: string;
  readonly version?: boolean;
}

const DEFAULT_CONFIG = "/etc/containerd-stargz-grpc/config.toml";

/** Adds the command. Its version is that of the program. */
export function registerContainerdStargzGrpc(program: Command, environment: Environment): void {
  program
    .command("containerd-stargz-grpc", { hidden: true })
    .description("what the program of this name does: esgz daemon with its flags and places")
    .option(
      "--address <socket>",
      "unix socket of the snapshotter",
      "/run/containerd-stargz-grpc/containerd-stargz-grpc.sock",
    )
    .option("--config <file>", "its configuration, or that of esgz", DEFAULT_CONFIG)
    .option("--log-level <level>", "trace, debug, info, warn, error, fatal or panic", "info")
    .option("--root <dir>", "store", "/var/lib/containerd-stargz-grpc")
    .option("--version", "print the version")
    .action(async (flags: Flags) => {
      const context = new CommandContext(environment, {});
      const version = program.version() ?? "";
      if (flags.version === true)
        return await context.print({ version }, `containerd-stargz-grpc (esgz) ${version}\n`);
      await serveStore(context, {
        store: resolve(flags.root),
        address: flags.address,
        configPath: resolve(flags.config),
        configIsOptional: flags.config === DEFAULT_CONFIG,
        autoStarted: false,
        ...logLevelSetting(flags.logLevel),
      });
    });
}
