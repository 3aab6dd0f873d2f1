/**
 * Running a container from its start to its end.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { ContainerDirectory } from "./container-directory.ts";
import {
  ContainerProcess,
  parseStopSignal,
  type ContainerExit,
  type ContainerStdio,
} from "./container-process.ts";
import { deleteContainer } from "./delete-container.ts";
import { findRuntimes } from "./find-runtimes.ts";
import { launchWords } from "./launch-words.ts";
import { prepareContainer, type PreparedContainer } from "./prepare-container.ts";
import type { RunContainerOptions } from "./run-options.ts";
import { findStartFailure } from "./start-failure.ts";
import { giveIds } from "./user-namespace.ts";
import { Watchdog } from "./watchdog.ts";

const DEFAULT_STOP_TIMEOUT_MS = 10_000;
const INHERITED: ContainerStdio = ["inherit", "inherit", "inherit"];

/**
 * Runs a container and resolves when it has ended, with the status of its first process. Whatever happens, even if this
 * process is killed, nothing of the container stays but what it wrote.
 *
 * Abort: the container is stopped, then this rejects with the signal's reason.
 *
 * @throws {EsgzError} `RUNTIME_FAILED` if it did not start, with `details.exitStatus` 125, 126 or 127 as `docker run` has it
 * and `details.shown` if the words are on the container's stderr already; `NOT_SUPPORTED` without the programs for it;
 * `USAGE_INVALID`, `FILE_NOT_FOUND` for options that cannot be used; `IO_FAILED`.
 */
export async function runContainer(options: RunContainerOptions): Promise<ContainerExit> {
  options.signal?.throwIfAborted();
  const found = await findRuntimes(options.host);
  await using directory = await ContainerDirectory.create(options.stateDirectory);
  const prepared = await prepareContainer(options, { found, directory });
  const { sh, unshare } = found;
  if (sh === undefined || (unshare === undefined && prepared.plan.namespaces.length > 0)) {
    throw new EsgzError(
      "NOT_SUPPORTED",
      "Cannot start container: expected sh and unshare in PATH, got neither",
    );
  }
  const words = launchWords(prepared.plan, { sh, unshare: unshare ?? "unshare" });
  return await runPrepared(words, { options, directory, prepared, sh });
}

async function runPrepared(
  words: readonly string[],
  parts: {
    readonly options: RunContainerOptions;
    readonly directory: ContainerDirectory;
    readonly prepared: PreparedContainer;
    readonly sh: string;
  },
): Promise<ContainerExit> {
  const { options, directory, prepared, sh } = parts;
  const { plan, runtime } = prepared;
  const programs = { runtime: runtime?.program, path: options.host.path };
  await using watchdog = Watchdog.start(directory, { sh, ...programs });
  const child = await ContainerProcess.start(words, {
    directory,
    stdio: options.stdio ?? INHERITED,
    env: { PATH: options.host.path },
    channel: plan.userNamespace,
    tty: options.tty,
    signalsContainer: runtime === undefined,
    signals: options.signals,
  });
  watchdog.watch(child.pid);
  try {
    if (plan.direct === true) await directory.write("pid", String(child.pid));
    using _forwarding = child.forward();
    await enterNamespace(child, prepared);
    return await waitForEnd(child, { options, directory });
  } finally {
    await deleteContainer(directory, programs);
  }
}

async function enterNamespace(
  child: ContainerProcess,
  { ids, plan, found }: PreparedContainer,
): Promise<void> {
  const { pid, channel } = child;
  if (!plan.userNamespace || ids === undefined || channel === undefined) return;
  try {
    await giveIds({ pid, channel }, ids, found);
  } catch (error) {
    await child.kill();
    await child.ended;
    throw error;
  }
}

async function waitForEnd(
  child: ContainerProcess,
  { options, directory }: { readonly options: RunContainerOptions; readonly directory: ContainerDirectory },
): Promise<ContainerExit> {
  const { signal, clock = systemClock, stopTimeoutMs = DEFAULT_STOP_TIMEOUT_MS } = options;
  const stopSignal = parseStopSignal(options.config.config?.StopSignal);
  let stopped: Promise<void> | undefined;
  const onAbort = (): void => {
    stopped = child.stop(stopSignal, { timeoutMs: stopTimeoutMs, clock });
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  const exit = await child.ended;
  signal?.removeEventListener("abort", onAbort);
  await stopped;
  signal?.throwIfAborted();
  const failure = await findStartFailure(directory, exit);
  if (failure !== undefined) throw failure;
  return exit;
}
