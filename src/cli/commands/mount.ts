/**
 * `esgz mount`: an image as a directory, before it is downloaded.
 *
 * @module
 */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { MountRequest, MountResult } from "../../daemon/index.ts";
import { EsgzError, messageOf } from "../../errors/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import { addPullFlag, imageRequest, type ImageRequestFlags, openDaemon } from "../daemon-access.ts";
import type { Environment } from "../environment.ts";
import { formatCount, formatDuration } from "../format.ts";
import { addRegistryFlags } from "../registry-access.ts";
import { createEventView } from "../show-control-events.ts";
import { addStoreFlag } from "../store-location.ts";

interface Flags extends SharedFlags, ImageRequestFlags {
  readonly rw?: boolean;
  readonly layers?: boolean;
  readonly view?: keyof typeof VIEWS;
  readonly prefetch: boolean;
  readonly background?: boolean;
}

/** What users call the ways to show an image. */
const VIEWS = { auto: "auto", erofs: "erofs-file", loop: "erofs-loop", tree: "tree" } as const;

const EXAMPLES = `
Examples:
  esgz mount ghcr.io/org/app:1 /mnt/app         read-only; contents come when they are read
  esgz mount --rw python:3.13 /mnt/python       changes go to a writable layer of their own
  esgz umount /mnt/app`;

/** Adds the command. */
export function registerMount(program: Command, environment: Environment): void {
  addStoreFlag(addPullFlag(addRegistryFlags(addSharedFlags(program.command("mount")))))
    .description("mount an image at a directory, before it is downloaded: contents come when they are read")
    .argument("<image>", "image to mount")
    .argument("<dir>", "directory that exists")
    .option("--rw", "with a writable layer over it")
    .option("--layers", "as an overlay of one mount per layer, not as one merged image")
    .addOption(
      new Option(
        "--view <how>",
        "how it is shown: auto, erofs (on files), loop (EROFS on loop devices), tree (default: as the daemon is configured)",
      ).choices(Object.keys(VIEWS)),
    )
    .option("--platform <os/arch>", "platform to mount (default: this machine's)")
    .option("--no-prefetch", "do not fetch first what the image says, or its program needs")
    .option("--background", "fetch the rest while the link is idle (default: as the daemon is configured)")
    .option("--no-background", "fetch only what is read")
    .addHelpText("after", EXAMPLES)
    .action(async (image: string, directory: string, flags: Flags, command: Command) =>
      run(
        new CommandContext(environment, flags),
        command,
        mountRequest(environment, image, directory, flags),
      ),
    );
}

function mountRequest(
  environment: Environment,
  image: string,
  directory: string,
  flags: Flags,
): MountRequest {
  assertDirectory(directory);
  if (environment.uid !== 0 && flags.rw === true)
    throw notRoot(
      `"${image}" with a writable layer at "${directory}"`,
      "esgz run has one; without --rw it mounts",
    );
  if (environment.uid !== 0 && flags.layers === true)
    throw notRoot(`"${image}" layer by layer at "${directory}"`, "without --layers it mounts");
  return {
    ...imageRequest(environment, image, flags),
    directory: resolve(directory),
    writable: flags.rw === true,
    layered: flags.layers === true,
    ...(flags.view === undefined ? {} : { view: VIEWS[flags.view] }),
    prefetch: flags.prefetch,
    ...(flags.background === undefined ? {} : { background: flags.background }),
  };
}

async function run(context: CommandContext, command: Command, request: MountRequest): Promise<void> {
  const { environment } = context;
  await using daemon = await openDaemon(environment, command);
  const board = context.board();
  try {
    const onEvent = createEventView(board);
    const result = await daemon.mount(request, { onEvent, signal: environment.signal });
    board.finish();
    await context.print(result, describeMount(result));
  } finally {
    board.finish();
  }
}

/** An overlay that only a user namespace may have cannot be seen from outside. */
function notRoot(what: string, hint: string): EsgzError {
  const message = `Cannot mount ${what}: expected root, got another user (${hint})`;
  return new EsgzError("NOT_SUPPORTED", message);
}

function assertDirectory(directory: string): void {
  let found = "something else";
  try {
    if (statSync(directory).isDirectory()) return;
  } catch (cause) {
    found = messageOf(cause).startsWith("ENOENT") ? `nothing (mkdir -p ${directory})` : messageOf(cause);
  }
  const message = `Cannot mount at "${directory}": expected a directory, got ${found}`;
  throw new EsgzError("USAGE_INVALID", message);
}

/** What a mount came to, for people. */
export function describeMount({ name, directory, method, layers, seconds }: MountResult): string {
  const lazy = layers.filter((layer) => layer.lazy && layer.present !== true).length;
  const kind =
    method === "local"
      ? "all of it is here"
      : `${method}, ${lazy} of ${formatCount(layers.length, "layer")} lazy`;
  return `mounted ${name} at ${directory} in ${formatDuration(seconds * 1000)} (${kind})\n`;
}
