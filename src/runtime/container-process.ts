/**
 * The process that stands for a container: its signals and its end.
 *
 * @module
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { Duplex } from "node:stream";
import type { Clock } from "../async/index.ts";
import { messageOf, systemCodeOf } from "../errors/index.ts";
import type { ContainerDirectory } from "./container-directory.ts";
import { startError } from "./runtime-error.ts";

/** The signals that are passed on to a container. */
export const FORWARDED_SIGNALS = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
] as const;

/** A signal that is passed on. */
export type ForwardedSignal = (typeof FORWARDED_SIGNALS)[number];

/** Where signals come from: `process` is one. While a container runs, they do nothing else. */
export interface SignalSource {
  on(signal: ForwardedSignal, listener: (signal: ForwardedSignal) => void): unknown;
  off(signal: ForwardedSignal, listener: (signal: ForwardedSignal) => void): unknown;
}

/** What a container reads and writes: descriptors of this process, or the same as this process. */
export type ContainerStdio = readonly [
  "inherit" | "ignore" | number,
  "inherit" | "ignore" | number,
  "inherit" | "ignore" | number,
];

/** How a container ended. */
export interface ContainerExit {
  /** As a shell has it: 128 + n for a signal. */
  readonly exitStatus: number;
  /** The name of the signal that the status stands for. */
  readonly signal?: string;
}

/** How a container's process is started. */
export interface ContainerProcessOptions {
  readonly directory: ContainerDirectory;
  readonly stdio: ContainerStdio;
  /** The environment of the first command, not of the container. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether descriptor 3 is a channel to this process. */
  readonly channel: boolean;
  /** Whether the container has a terminal. */
  readonly tty: boolean;
  /** Whether signals go to the container's first process, since the command does not pass them on. */
  readonly signalsContainer: boolean;
  /** Whose signals are passed on; see {@linkcode ContainerProcess.forward}. */
  readonly signals?: SignalSource | undefined;
}

/** A command that runs a container in the foreground. */
export class ContainerProcess {
  readonly pid: number;
  /** Descriptor 3 of the process. */
  readonly channel: Duplex | undefined;
  readonly ended: Promise<ContainerExit>;
  readonly #child: ChildProcess;
  readonly #directory: ContainerDirectory;
  readonly #options: ContainerProcessOptions;
  readonly #early: EarlySignals;

  private constructor(
    child: ChildProcess,
    pid: number,
    options: ContainerProcessOptions,
    early: EarlySignals,
  ) {
    this.#child = child;
    this.#early = early;
    this.pid = pid;
    this.#directory = options.directory;
    this.#options = options;
    const channel = child.stdio[3];
    this.channel = channel instanceof Duplex ? channel : undefined;
    // The process may end without reading.
    this.channel?.on("error", () => undefined);
    this.ended = once(child, "exit").then(([code, signal]) => exitOf(code, signal));
    this.ended.catch(() => undefined);
  }

  /**
   * Starts a command. Signals are kept from now on, for {@linkcode ContainerProcess.forward} to pass on: the container may run,
   * and be sent some, before this process knows.
   *
   * @throws {EsgzError} `RUNTIME_FAILED` if it cannot be started.
   */
  static async start(
    command: readonly string[],
    options: ContainerProcessOptions,
  ): Promise<ContainerProcess> {
    const [program = "", ...parameters] = command;
    const early = new EarlySignals(options.signals);
    try {
      const child = spawn(program, parameters, {
        // A session of its own: a key on the terminal is a signal for this process, which passes it on once.
        detached: !sharesTerminal(options),
        cwd: "/",
        env: options.env,
        stdio: [...options.stdio, ...(options.channel ? (["pipe"] as const) : [])],
      });
      await once(child, "spawn");
      return new ContainerProcess(child, child.pid ?? 0, options, early);
    } catch (cause) {
      early[Symbol.dispose]();
      throw startError(messageOf(cause), { cause });
    }
  }

  /** Passes on what came from the source of signals since the start, and what comes until this is disposed. To be called once. */
  forward(): Disposable {
    const source = this.#options.signals;
    const listener = (signal: ForwardedSignal): void => {
      // It may have ended meanwhile.
      this.send(signal).catch(() => undefined);
    };
    // What keys on a shared terminal mean, the container is told by the terminal.
    const told = sharesTerminal(this.#options) ? ["SIGINT", "SIGQUIT", "SIGWINCH"] : [];
    const ignored = (): void => undefined;
    const listenerOf = (signal: string): typeof listener => (told.includes(signal) ? ignored : listener);
    for (const signal of FORWARDED_SIGNALS) source?.on(signal, listenerOf(signal));
    this.#early[Symbol.dispose]();
    for (const signal of this.#early.signals) listenerOf(signal)(signal);
    return {
      [Symbol.dispose]: () => {
        for (const signal of FORWARDED_SIGNALS) source?.off(signal, listenerOf(signal));
      },
    };
  }

  /** Sends a signal to the container; to the command, before there is one. */
  async send(signal: NodeJS.Signals): Promise<void> {
    // A runtime takes a change of the window for its own, even if the container has none.
    const direct = this.#options.signalsContainer || (signal === "SIGWINCH" && !this.#options.tty);
    if (!direct) {
      this.#child.kill(signal);
      return;
    }
    const pid = await this.#directory.containerPid();
    if (pid !== undefined) killIfThere(pid, signal);
    else if (this.#options.signalsContainer && signal !== "SIGWINCH") this.#child.kill("SIGKILL");
  }

  /** Stops the container: asks first, and kills it when the time is over. */
  async stop(
    signal: NodeJS.Signals,
    { timeoutMs, clock }: { readonly timeoutMs: number; readonly clock: Clock },
  ): Promise<void> {
    await this.send(signal);
    const inTime = new AbortController();
    const late = clock.sleep(timeoutMs, { signal: inTime.signal }).then(
      () => true,
      () => false,
    );
    if (await Promise.race([late, this.ended.then(() => false)])) await this.kill();
    inTime.abort();
    await this.ended;
  }

  /** Kills the container; the command, if there is none. */
  async kill(): Promise<void> {
    const pid = await this.#directory.containerPid();
    if (pid === undefined) this.#child.kill("SIGKILL");
    else killIfThere(pid, "SIGKILL");
  }
}

/** Keeps signals from ending this process, and remembers them. */
class EarlySignals implements Disposable {
  readonly signals: ForwardedSignal[] = [];
  readonly #source: SignalSource | undefined;
  readonly #listener = (signal: ForwardedSignal): void => void this.signals.push(signal);

  constructor(source: SignalSource | undefined) {
    this.#source = source;
    for (const signal of FORWARDED_SIGNALS) source?.on(signal, this.#listener);
  }

  [Symbol.dispose](): void {
    for (const signal of FORWARDED_SIGNALS) this.#source?.off(signal, this.#listener);
  }
}

/** The name of a signal of a container, as images and users write it; SIGTERM for what is none. */
export function parseStopSignal(text: string | null | undefined): NodeJS.Signals {
  const names: Readonly<Record<string, number>> = constants.signals;
  const wanted = (text ?? "").trim().toUpperCase();
  const found = Object.entries(names).find(
    ([name, number]) => name === wanted || name === `SIG${wanted}` || String(number) === wanted,
  );
  return isSignal(found?.[0]) ? found[0] : "SIGTERM";
}

function isSignal(name: string | undefined): name is NodeJS.Signals {
  return name !== undefined && Object.hasOwn(constants.signals, name);
}

/** Whether the container's process is of this process's terminal session: nobody gives it a terminal of its own. */
function sharesTerminal({ tty, signalsContainer }: ContainerProcessOptions): boolean {
  return tty && signalsContainer;
}

function exitOf(code: unknown, signal: unknown): ContainerExit {
  const names: Readonly<Record<string, number>> = constants.signals;
  const exitStatus = typeof code === "number" ? code : 128 + (names[String(signal)] ?? 0);
  const name = Object.keys(names).find((key) => 128 + (names[key] ?? 0) === exitStatus);
  return name === undefined ? { exitStatus } : { exitStatus, signal: name };
}

function killIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (systemCodeOf(error) !== "ESRCH") throw error;
  }
}
