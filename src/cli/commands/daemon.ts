/**
 * `esgz daemon`: serves a store, its mounts and its fetches.
 *
 * @module
 */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { DaemonInfo } from "../../daemon/index.ts";
import { EsgzError, isEsgzError } from "../../errors/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { serveStore } from "../serve-store.ts";
import { addStoreFlag, storeOf } from "../store-location.ts";

interface Flags extends SharedFlags {
  readonly address?: string;
  readonly root?: string;
  readonly config?: string;
  readonly logLevel?: LogLevel;
  readonly idleTimeout?: number;
  readonly stop?: boolean;
  readonly force?: boolean;
}

type LogLevel = (typeof LOG_LEVELS)[number];

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;

const STOP_WAIT_MS = 30_000;
const STOP_LOOK_MS = 20;

const EXAMPLES = `
Commands that need a daemon start one, which ends when it is idle. Mounts stay when its server is killed or upgraded
(SIGHUP starts a new one); SIGTERM ends it with its mounts.

Examples:
  esgz daemon --config /etc/esgz/config.toml
  esgz daemon --address /run/esgz/snapshotter.sock
  esgz daemon --stop`;

/** Adds the command. */
export function registerDaemon(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("daemon")))
    .description("serve a store: its mounts, fetches, and the commands that use it")
    .option("--address <socket>", "serve snapshots to containerd and BuildKit on this unix socket")
    .option("--root <dir>", "the same as --store")
    .option("--config <file>", "TOML file (default: /etc/esgz/config.toml, or esgz/config.toml of the user)")
    .addOption(new Option("--log-level <level>", "how much is logged").choices(LOG_LEVELS))
    .option(
      "--idle-timeout <seconds>",
      "end after this time without mounts and commands; 0: never",
      parseSeconds,
    )
    .option("--stop", "end the daemon that runs")
    .option("--force", "with --stop: also with mounts and containers that are in use, which lose their files")
    .addHelpText("after", EXAMPLES)
    .action(async (flags: Flags, command: Command) =>
      run(new CommandContext(environment, flags), {
        flags,
        store: flags.root === undefined ? await storeOf(environment, command) : resolve(flags.root),
      }),
    );
}

async function run(
  context: CommandContext,
  { flags, store }: { readonly flags: Flags; readonly store: string },
): Promise<void> {
  if (flags.stop === true) return await stop(context, store, flags.force === true);
  if (flags.force === true)
    throw new EsgzError("USAGE_INVALID", "Cannot use --force: expected --stop with it, got none");
  const configPath = flags.config === undefined ? undefined : resolve(flags.config);
  await serveStore(context, {
    store,
    configPath,
    address: flags.address,
    logLevel: flags.logLevel,
    ...idleSettings(flags),
  });
}

/** A daemon that a user starts stays, unless a time is named. */
function idleSettings({ idleTimeout = 0 }: Flags): { autoStarted: boolean; idleExitMs?: number } {
  return idleTimeout === 0 ? { autoStarted: false } : { autoStarted: true, idleExitMs: idleTimeout * 1000 };
}

/** What serves a store; undefined if nothing does. */
async function infoOf({ signal }: Environment, store: string): Promise<DaemonInfo | undefined> {
  const { connectDaemon } = await import("../../daemon/index.ts");
  try {
    await using daemon = await connectDaemon({ store, signal });
    return await daemon.info({ signal });
  } catch (error) {
    if (isEsgzError(error, "DAEMON_UNAVAILABLE")) return undefined;
    throw error;
  }
}

async function stop(context: CommandContext, store: string, force: boolean): Promise<void> {
  const { environment } = context;
  const info = await infoOf(environment, store);
  if (info !== undefined) await stopRunning(environment, { info, store, force });
  const text = info === undefined ? `no daemon serves ${store}\n` : `stopped the daemon of ${store}\n`;
  await context.print({ store, stopped: info !== undefined }, text);
}

/** Resolves when its processes and mounts are gone. */
async function stopRunning(
  { signal }: Environment,
  { info, store, force }: { readonly info: DaemonInfo; readonly store: string; readonly force: boolean },
): Promise<void> {
  const { connectDaemon } = await import("../../daemon/index.ts");
  const { isRunning, processOf } = await import("../../files/index.ts");
  // One that has ended may be left as a zombie for ever, by a parent that does not look after its children.
  const holder = processOf(info.holderPid);
  {
    await using daemon = await connectDaemon({ store, signal });
    await daemon.stop({ force }, { signal });
  }
  const endMs = performance.now() + STOP_WAIT_MS;
  while (holder !== undefined && isRunning(holder)) {
    if (performance.now() > endMs)
      throw new EsgzError(
        "TIMED_OUT",
        `Cannot stop daemon: expected process ${info.holderPid} to end, got none`,
      );
    await sleep(STOP_LOOK_MS, undefined, { signal });
  }
}

function parseSeconds(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw new InvalidArgumentError("expected whole seconds");
  return Number(text);
}
