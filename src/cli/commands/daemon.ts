/**
 * `esgz daemon`: serves a store, its mounts and its fetches.
 *
 * @module
 */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { EsgzError, isEsgzError } from "../../errors/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { addStoreFlag, storeOf } from "../store-location.ts";

interface Flags extends SharedFlags {
  readonly config?: string;
  readonly logLevel?: LogLevel;
  readonly idleTimeout?: number;
  readonly stop?: boolean;
  readonly force?: boolean;
}

type LogLevel = (typeof LOG_LEVELS)[number];

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

const EXAMPLES = `
Commands that need a daemon start one, which ends when it is idle. Mounts stay when its server is killed or upgraded
(SIGHUP starts a new one); SIGTERM ends it with its mounts.

Examples:
  esgz daemon --config /etc/esgz/config.toml
  esgz daemon --stop`;

/** Adds the command. */
export function registerDaemon(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("daemon")))
    .description("serve a store: its mounts, fetches, and the commands that use it")
    .option("--config <file>", "TOML file (default: /etc/esgz/config.toml, or esgz/config.toml of the user)")
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS))
    .option(
      "--idle-timeout <seconds>",
      "end after this time without mounts and commands; 0: never",
      parseSeconds,
    )
    .option("--stop", "end the daemon that runs")
    .option("--force", "with --stop: also with mounts, which are unmounted")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: Flags, command: Command) =>
      run(new CommandContext(environment, flags), flags, await storeOf(environment, command)),
    );
}

async function run(context: CommandContext, flags: Flags, store: string): Promise<void> {
  if (flags.stop === true) return await stop(context, store, flags.force === true);
  if (flags.force === true)
    throw new EsgzError("USAGE_INVALID", "Cannot use --force: expected --stop with it, got none");
  const { runDaemon } = await import("../../daemon/index.ts");
  // The daemon handles signals by itself.
  using _signals = context.environment.leaveSignals();
  await runDaemon({
    settings: {
      store,
      ...(flags.config === undefined ? {} : { configPath: resolve(flags.config) }),
      ...(flags.logLevel === undefined ? {} : { logLevel: flags.logLevel }),
      ...(flags.idleTimeout === undefined
        ? {}
        : { autoStarted: flags.idleTimeout > 0, idleExitMs: flags.idleTimeout * 1000 }),
    },
  });
}

async function stop(context: CommandContext, store: string, force: boolean): Promise<void> {
  const { connectDaemon } = await import("../../daemon/index.ts");
  const { signal } = context.environment;
  const result = { store, stopped: true };
  try {
    await using daemon = await connectDaemon({ store, signal });
    await daemon.stop({ force }, { signal });
  } catch (error) {
    if (!isEsgzError(error, "DAEMON_UNAVAILABLE")) throw error;
    result.stopped = false;
  }
  await context.print(
    result,
    result.stopped ? `stopped the daemon of ${store}\n` : `no daemon serves ${store}\n`,
  );
}

function parseSeconds(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError("expected whole seconds");
  return Number(text);
}
