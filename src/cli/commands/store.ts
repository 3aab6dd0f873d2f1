/**
 * `esgz store`: an additional layer store for Podman and CRI-O.
 *
 * @module
 */
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { DaemonClient } from "../../daemon/index.ts";
import { EsgzError, isEsgzError } from "../../errors/index.ts";
import { CommandContext } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { serveStore, type ServeStoreOptions } from "../serve-store.ts";
import { addStoreFlag, storeOf } from "../store-location.ts";

interface Flags {
  readonly addr?: string;
  readonly config?: string;
  readonly logLevel?: NonNullable<ServeStoreOptions["logLevel"]>;
  readonly root?: string;
  readonly unmount?: boolean;
}

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

const EXAMPLES = `
For storage.conf of Podman and CRI-O, whose pulls then download nothing but what is read:

  [storage.options]
  additionallayerstores = ["/var/lib/esgz-layers:ref"]

Examples:
  esgz store /var/lib/esgz-layers
  esgz store --unmount /var/lib/esgz-layers`;

/** Adds the command. */
export function registerStore(program: Command, environment: Environment): void {
  addStoreFlag(program.command("store"))
    .description("show Podman and CRI-O layers that are not downloaded: an additional layer store")
    .argument("<mountpoint>", "directory, made if there is none")
    .option("--config <file>", "configuration of the daemon")
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS))
    .option("--root <dir>", "the same as --store")
    .option("--addr <socket>", "unix socket at which engines tell credentials")
    .option("--unmount", "end what is there; layers that were shown stay shown until the daemon ends")
    .addHelpText("after", EXAMPLES)
    .action(async (mountpoint: string, flags: Flags, command: Command) =>
      run(new CommandContext(environment, {}), {
        flags,
        directory: resolve(mountpoint),
        store: flags.root === undefined ? await storeOf(environment, command) : resolve(flags.root),
      }),
    );
}

async function run(
  context: CommandContext,
  { flags, directory, store }: { readonly flags: Flags; readonly directory: string; readonly store: string },
): Promise<void> {
  const { signal } = context.environment;
  await using daemon = await runningDaemon(context, store);
  if (flags.unmount === true) {
    if (daemon === undefined) throw nothingThere(directory);
    await daemon.removeLayerStore(directory, { signal });
    await context.print({ directory }, `unmounted ${directory}\n`);
  } else if (daemon === undefined) {
    await serveStore(context, {
      store,
      configPath: flags.config === undefined ? undefined : resolve(flags.config),
      logLevel: flags.logLevel,
      layerStores: [directory],
      credentialsAddress: flags.addr,
    });
  } else await serveHere(context, { daemon, directory });
}

/** In a daemon that runs: until this command is ended. */
async function serveHere(
  context: CommandContext,
  { daemon, directory }: { readonly daemon: DaemonClient; readonly directory: string },
): Promise<void> {
  const { signal } = context.environment;
  await daemon.serveLayers(directory, { signal });
  await context.print({ directory }, `serving layers on ${directory}\n`);
  await new Promise<void>((end) => {
    // Something has to keep this process.
    const stay = setInterval(() => undefined, 1 << 30);
    const leave = (): void => {
      clearInterval(stay);
      end();
    };
    if (signal.aborted) leave();
    else signal.addEventListener("abort", leave, { once: true });
  });
  await daemon.removeLayerStore(directory);
}

async function runningDaemon(
  { environment }: CommandContext,
  store: string,
): Promise<DaemonClient | undefined> {
  const { connectDaemon } = await import("../../daemon/index.ts");
  try {
    return await connectDaemon({ store, signal: environment.signal });
  } catch (error) {
    if (isEsgzError(error, "DAEMON_UNAVAILABLE")) return undefined;
    throw error;
  }
}

function nothingThere(directory: string): EsgzError {
  return new EsgzError("FILE_NOT_FOUND", `Cannot unmount "${directory}": expected a layer store, got none`);
}
