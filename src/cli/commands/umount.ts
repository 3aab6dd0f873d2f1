/**
 * `esgz umount`: ends a mount.
 *
 * @module
 */
import { readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { Command } from "commander";
import type { DaemonClient, MountStatus } from "../../daemon/index.ts";
import { EsgzError } from "../../errors/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { openDaemonOfStore } from "../daemon-access.ts";
import { describeFailure } from "../describe-failure.ts";
import type { Environment } from "../environment.ts";
import { addStoreFlag, findKeptChanges, storeOf } from "../store-location.ts";

interface Flags extends SharedFlags {
  readonly all?: boolean;
  readonly lazy?: boolean;
}

/** How many symbolic links may follow each other. */
const LINK_LIMIT = 40;

const EXAMPLES = `
Examples:
  esgz umount /mnt/app
  esgz umount --all`;

/** Adds the command. */
export function registerUmount(program: Command, environment: Environment): void {
  addStoreFlag(addSharedFlags(program.command("umount")))
    .description("unmount an image; what was fetched stays in the store, a writable layer until `esgz prune`")
    .argument("[dir...]", "directories or ids of mounts")
    .option("-a, --all", "all mounts of the store")
    .option("-l, --lazy", "now from the tree, and really once nothing uses it")
    .addHelpText("after", EXAMPLES)
    .action(async (targets: readonly string[], flags: Flags, command: Command) =>
      run(new CommandContext(environment, flags), { targets, flags, command }),
    );
}

async function run(
  context: CommandContext,
  { targets, flags, command }: { targets: readonly string[]; flags: Flags; command: Command },
): Promise<void> {
  if (targets.length > 0 === (flags.all === true))
    throw new EsgzError("USAGE_INVALID", "Cannot unmount: expected directories or --all, got none or both");
  const { environment } = context;
  const { signal } = environment;
  await using daemon = await openDaemonOfStore(environment, command);
  const mounts = (await daemon?.mounts({ signal })) ?? [];
  // What lies on another, or below it, came later and goes first.
  const chosen =
    flags.all === true ? mounts.toReversed() : targets.map((target) => findMount(mounts, target));
  const { directories, failures } = await unmountEach(daemon, chosen, { lazy: flags.lazy === true, signal });
  if (directories.length > 0 || failures.length === 0)
    await context.print(directories, directories.map((directory) => `unmounted ${directory}\n`).join(""));
  await tellKept(context, { command, mounts: chosen, directories });
  const [first, ...others] = failures;
  if (first === undefined) return;
  // As JSON one failure is told, as of all commands.
  if (!context.json) for (const other of others) environment.stderr.write(`${describeFailure(other)}\n`);
  throw first;
}

/** What was written is not gone with its mount. */
async function tellKept(
  context: CommandContext,
  options: {
    readonly command: Command;
    readonly mounts: readonly MountStatus[];
    readonly directories: readonly string[];
  },
): Promise<void> {
  if (context.json) return;
  const store = await storeOf(context.environment, options.command);
  for (const { id, directory, writable } of options.mounts) {
    const kept = findKeptChanges(store, id);
    if (writable && options.directories.includes(directory) && kept !== undefined)
      context.note(`what was changed in ${directory} is kept in ${kept} until \`esgz prune\``);
  }
}

/** One that fails does not keep the others. */
async function unmountEach(
  daemon: DaemonClient | undefined,
  mounts: readonly MountStatus[],
  options: { readonly lazy: boolean; readonly signal: AbortSignal },
): Promise<{ readonly directories: readonly string[]; readonly failures: readonly unknown[] }> {
  const directories: string[] = [];
  const failures: unknown[] = [];
  for (const { id, directory } of mounts) {
    try {
      await daemon?.unmount(id, options);
      directories.push(directory);
    } catch (error) {
      failures.push(error);
    }
  }
  return { directories, failures };
}

/** The mount that a user means: by its directory, the newest where several lie on another, or by its id. */
export function findMount(mounts: readonly MountStatus[], target: string): MountStatus {
  const paths = [resolve(target), realDirectory(target)];
  const found = mounts.findLast(({ directory, id }) => paths.includes(directory) || id === target);
  if (found !== undefined) return found;
  throw new EsgzError(
    "FILE_NOT_FOUND",
    `Cannot find mount "${target}": expected a directory or id that "esgz top --once" lists, got another`,
  );
}

/** Without links. The last name is not looked into: whoever looks at a mount that nobody serves would wait. */
function realDirectory(target: string, links = LINK_LIMIT): string {
  const absolute = resolve(target);
  let place = absolute;
  try {
    const parent = realpathSync(dirname(absolute));
    place = join(parent, basename(absolute));
    return links === 0 ? place : realDirectory(resolve(parent, readlinkSync(place)), links - 1);
  } catch {
    // It is no link, or is not there.
    return place;
  }
}
