/**
 * `esgz top`: how live mounts do.
 *
 * @module
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import type { DaemonClient } from "../../daemon/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { openDaemonOfStore } from "../daemon-access.ts";
import { type Environment, screenSize, writeOut } from "../environment.ts";
import { addStoreFlag } from "../store-location.ts";
import { describeTop, type TopSample } from "../top-screen.ts";
import { findMount } from "./umount.ts";

interface Flags extends SharedFlags {
  readonly once?: boolean;
}

const REFRESH_MS = 1000;
/** The terminal's other screen, without a cursor, so that what stood there before comes back. */
const ENTER_SCREEN = "\u001B[?1049h\u001B[?25l";
const LEAVE_SCREEN = "\u001B[?25h\u001B[?1049l";
const CLEAR = "\u001B[H\u001B[2J";

const EXAMPLES = `
Examples:
  esgz top                  all mounts, live; Ctrl-C ends it
  esgz top --once /mnt/app  one mount, now`;

/** Adds the command. */
export function registerTop(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("top")))
    .description("watch mounts: what is here of how much, reads and hits, files being waited for")
    .argument("[dir]", "only the mount at this directory")
    .option("--once", "print it once (default where there is no terminal, and with --json)")
    .addHelpText("after", EXAMPLES)
    .action(async (directory: string | undefined, flags: Flags, command: Command) =>
      run(new CommandContext(environment, flags), { directory, flags, command }),
    );
}

async function run(
  context: CommandContext,
  { directory, flags, command }: { directory: string | undefined; flags: Flags; command: Command },
): Promise<void> {
  const { environment } = context;
  await using daemon = await openDaemonOfStore(environment, command);
  const look = (): Promise<TopSample> => lookAt(daemon, directory, environment.signal);
  const first = await look();
  if (flags.once === true || context.json || !environment.stdout.isTTY)
    return await context.print(first.mounts, describeTop(first));
  await watch(environment, look, first);
}

async function lookAt(
  daemon: DaemonClient | undefined,
  directory: string | undefined,
  signal: AbortSignal,
): Promise<TopSample> {
  const mounts = (await daemon?.mounts({ signal })) ?? [];
  return {
    atMs: performance.now(),
    mounts: directory === undefined ? mounts : [findMount(mounts, directory)],
  };
}

/** Redraws until the user interrupts it, which is how it ends and no failure. */
async function watch(
  environment: Environment,
  look: () => Promise<TopSample>,
  first: TopSample,
): Promise<void> {
  const { stdout, signal } = environment;
  stdout.write(ENTER_SCREEN);
  try {
    let before: TopSample | undefined;
    for (let sample = first; ; sample = await look()) {
      await writeOut(environment, `${CLEAR}${fitting(describeTop(sample, before), stdout)}`);
      before = sample;
      await sleep(REFRESH_MS, undefined, { signal });
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    stdout.write(LEAVE_SCREEN);
  }
}

function fitting(text: string, stdout: NodeJS.WriteStream): string {
  const { rows, columns } = screenSize(stdout);
  const lines = text.trimEnd().split("\n").slice(0, rows);
  return lines.map((line) => line.slice(0, columns)).join("\n");
}
