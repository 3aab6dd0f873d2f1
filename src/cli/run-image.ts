/**
 * The life of a container: mount, run, unmount.
 *
 * @module
 */
import { join } from "node:path";
import type { Command } from "commander";
import { encodeUtf8 } from "../bytes/index.ts";
import type { DaemonClient, MountResult } from "../daemon/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { parseImageConfig } from "../oci/index.ts";
import type { RunContainerOptions } from "../runtime/index.ts";
import type { CommandContext } from "./command-context.ts";
import type { RunFlags } from "./commands/run.ts";
import { imageRequest, openDaemon } from "./daemon-access.ts";
import type { Environment } from "./environment.ts";
import { EXIT_STATUS, exitStatusOf } from "./exit-status.ts";
import { createEventView } from "./show-control-events.ts";
import { findKeptChanges, storeOf } from "./store-location.ts";
import { readVariables } from "./variables.ts";

/** What to run. */
export interface RunRequest {
  readonly image: string;
  readonly words: readonly string[];
  readonly flags: RunFlags;
  readonly command: Command;
}

/** As docker has it: what failed is not the command. */
const NOT_STARTED = 125;

/** Runs a command in an image; its exit status becomes that of this process. */
export async function runImage(context: CommandContext, request: RunRequest): Promise<void> {
  const { environment } = context;
  try {
    const container = await containerOptions(context, request);
    await using daemon = await openDaemon(environment, request.command);
    const mount = await mountRoot(context, daemon, request);
    await runMounted(context, { ...request, container, daemon, mount });
  } catch (error) {
    environment.setExitStatus(statusOf(error));
    // The runtime has said it already, though not to programs.
    const isShown = isEsgzError(error, "RUNTIME_FAILED") && error.details["shown"] === true;
    if (context.json || !isShown) throw error;
  }
}

function statusOf(error: unknown): number {
  const found = isEsgzError(error, "RUNTIME_FAILED") ? error.details["exitStatus"] : undefined;
  if (typeof found === "number") return found;
  const status = exitStatusOf(error);
  return status === EXIT_STATUS.usage || status === EXIT_STATUS.interrupted ? status : NOT_STARTED;
}

type ContainerFlags = Omit<RunContainerOptions, "rootfs" | "config">;

/**
 * What the flags say, checked before anything is mounted.
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
async function containerOptions(
  context: CommandContext,
  { words, flags, command }: RunRequest,
): Promise<ContainerFlags> {
  const { environment } = context;
  const { assertWorkdir, parseVolume } = await import("../runtime/index.ts");
  if (flags.workdir !== undefined) assertWorkdir(flags.workdir);
  const { entrypoint, hostname = containerName(flags.name) } = flags;
  return {
    command: words,
    ...(entrypoint === undefined ? {} : { entrypoint: [entrypoint] }),
    env: readVariables(flags, environment.variables),
    workdir: flags.workdir,
    user: flags.user,
    volumes: (flags.volume ?? []).map((text) => parseVolume(text, { directory: process.cwd() })),
    network: flags.network,
    tty: flags.tty === true,
    readonly: flags.readOnly === true,
    hostname,
    runtime: flags.runtime,
    stdio: [usesInput(environment, flags) ? "inherit" : "ignore", "inherit", "inherit"],
    host: hostOf(environment),
    stateDirectory: join(await storeOf(environment, command), "containers"),
    // All that this process gets while it waits goes to the container.
    signals: process,
    onNote: (text) => context.note(`note: ${text}`),
  };
}

function usesInput({ stdin }: Environment, { tty, interactive }: RunFlags): boolean {
  if (tty === true && stdin.isTTY !== true)
    throw new EsgzError(
      "USAGE_INVALID",
      "Cannot use --tty: expected standard input to be a terminal, got another",
    );
  return tty === true || interactive === true;
}

function hostOf({ variables, uid, gid }: Environment): RunContainerOptions["host"] {
  const path = variables["PATH"] ?? "";
  // Where runtimes lie, also for those who have no such directories in their path.
  return { path: `${path}:/usr/sbin:/sbin`, uid, gid };
}

function containerName(name: string | undefined): string | undefined {
  if (name === undefined || /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/.test(name)) return name;
  throw new EsgzError(
    "USAGE_INVALID",
    `Cannot use --name "${name}": expected letters, digits, "_", "." and "-"`,
  );
}

async function mountRoot(
  context: CommandContext,
  daemon: DaemonClient,
  { image, flags, words }: RunRequest,
): Promise<MountResult> {
  const { environment } = context;
  const { signal } = environment;
  const board = context.board();
  try {
    const mount = {
      ...imageRequest(environment, image, flags),
      // Also where the container may not write: places for mounts that the image lacks, such as /proc, are made there.
      writable: true,
      prefetch: flags.prefetch,
      ...(flags.background === undefined ? {} : { background: flags.background }),
      discard: flags.rm === true || flags.readOnly === true,
      ownerPid: process.pid,
      start: {
        ...(words.length === 0 ? {} : { command: words }),
        ...(flags.entrypoint === undefined ? {} : { entrypoint: [flags.entrypoint] }),
        ...(flags.workdir === undefined ? {} : { workdir: flags.workdir }),
      },
    };
    return await daemon.mount(mount, { onEvent: createEventView(board), signal });
  } finally {
    board.finish();
  }
}

async function runMounted(
  context: CommandContext,
  run: RunRequest & {
    readonly container: ContainerFlags;
    readonly daemon: DaemonClient;
    readonly mount: MountResult;
  },
): Promise<void> {
  const { environment } = context;
  const { mount, daemon, flags, container } = run;
  let ended: { readonly exitStatus: number; readonly signal?: string } | undefined;
  try {
    const { runContainer } = await import("../runtime/index.ts");
    const config = parseImageConfig(encodeUtf8(JSON.stringify(mount.config)));
    // Containers have the usual one, and so have the directories that are made in their roots.
    process.umask(0o022);
    // They go to the container.
    using _signals = environment.leaveSignals();
    ended = await runContainer({ ...container, config, rootfs: rootOf(mount), signal: environment.signal });
  } finally {
    await unmountRoot(daemon, mount);
  }
  environment.setExitStatus(ended.exitStatus);
  const kept = findKeptChanges(await storeOf(environment, run.command), mount.id);
  const name = flags.name === undefined ? {} : { name: flags.name };
  report(context, {
    id: mount.id,
    ...name,
    image: mount.name,
    ...ended,
    ...(kept === undefined ? {} : { kept }),
  });
}

function rootOf({ directory, overlay }: MountResult): RunContainerOptions["rootfs"] {
  return overlay === undefined ? { kind: "directory", path: directory } : { kind: "overlay", ...overlay };
}

/** What still uses the mount, such as a process that left the container, must not keep the name of it. */
async function unmountRoot(daemon: DaemonClient, { id }: MountResult): Promise<void> {
  try {
    await daemon.unmount(id, { ownerPid: process.pid });
  } catch (error) {
    if (!isEsgzError(error, "MOUNT_FAILED")) throw error;
    await daemon.unmount(id, { lazy: true });
  }
}

interface RunReport {
  readonly id: string;
  readonly name?: string;
  readonly image: string;
  readonly exitStatus: number;
  readonly signal?: string;
  /** The directory with what was changed. */
  readonly kept?: string;
}

/** On stderr, since stdout is the container's. */
function report(context: CommandContext, result: RunReport): void {
  if (context.json) context.environment.stderr.write(`${JSON.stringify(result)}\n`);
  else if (result.kept !== undefined)
    context.note(`changes are kept in ${result.kept} until \`esgz prune\` (with --rm: removed)`);
}
