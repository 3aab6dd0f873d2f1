/**
 * Serves a filesystem on a mounted device, in worker threads.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { EsgzError, type ErrorCode, type ErrorDetails } from "../errors/index.ts";
import { beginSession } from "./begin-session.ts";
import type { Filesystem } from "./filesystem.ts";
import { FuseConnection } from "./fuse-connection.ts";
import { writeMessage } from "./fuse-device.ts";
import { loadNativeCalls } from "./native-calls.ts";
import type { FuseFeatures, Negotiated } from "./negotiate-init.ts";
import { RequestHandler } from "./request-handler.ts";
import { stopAtExit } from "./stop-at-exit.ts";
import { WakeSignal } from "./wake-signal.ts";
import type { WorkerMessage, WorkerStart } from "./worker-start.ts";

/** How a filesystem is served. */
export interface ServeFuseOptions {
  /** A module with an export `createFilesystem(data, connection)`: see {@link FilesystemModule}. */
  readonly filesystem: URL;
  /** Handed to `createFilesystem`: plain data, `SharedArrayBuffer`s, or what `transfer` lists. */
  readonly data?: unknown;
  /** What of `data` moves to the worker, such as message ports. Only with one thread. */
  readonly transfer?: readonly Transferable[];
  /** Answers, on this thread, the requests that a method of the filesystem returned `DEFERRED` for. */
  readonly deferred?: Filesystem;
  /** What an earlier server or a holder agreed on with the kernel: no INIT is waited for, and what that server left unanswered is sent again. */
  readonly negotiated?: Negotiated;
  /** What to agree on, where `negotiated` is absent. */
  readonly features?: FuseFeatures;
  /** Threads that serve, each with a filesystem object of its own and its own queue (Linux 4.2). Default: 1. */
  readonly threads?: number;
  /** Told of failures that were answered with an error the filesystem did not choose. */
  readonly onError?: (error: unknown, request: string) => void;
  /** Stops serving; the mount stays. */
  readonly signal?: AbortSignal;
}

/** A filesystem that is being served. */
export interface FuseServer extends AsyncDisposable {
  readonly negotiated: Negotiated;
  readonly connection: FuseConnection;
  /** Settles when serving is over: "ended" by an unmount, "stopped" by `close()`; rejects if a thread fails. */
  readonly closed: Promise<"ended" | "stopped">;
  /** Has the threads run their event loops once: messages to them arrive. */
  wake(): void;
  /** Stops the threads after the requests they have are answered. Mount and descriptor stay as they are. Idempotent. */
  close(): Promise<void>;
}

type Transferable = NonNullable<NonNullable<ConstructorParameters<typeof Worker>[1]>["transferList"]>[number];

const DEVICE = "/dev/fuse";

/**
 * Serves a filesystem on the device `fd`, which is mounted and stays the caller's. Resolves when requests are answered.
 *
 * @throws {EsgzError} `NOT_SUPPORTED`, `FUSE_INVALID`, `IO_FAILED` as `beginSession()`, `CONFIGURATION_INVALID` if the module has no filesystem.
 */
export async function serveFuse(fd: number, options: ServeFuseOptions): Promise<FuseServer> {
  options.signal?.throwIfAborted();
  const negotiated = options.negotiated ?? beginSession(fd, options.features);
  const connection = new FuseConnection(fd, negotiated);
  // Before anybody reads: what the dead server had read goes back to the queue.
  if (options.negotiated !== undefined) connection.resend();
  const server = new ThreadedServer(fd, { options, connection });
  try {
    await server.ready;
    options.signal?.throwIfAborted();
  } catch (error) {
    await server.close();
    throw error;
  }
  options.signal?.addEventListener("abort", () => void server.close(), { once: true });
  return server;
}

interface ServingThread {
  readonly wake: WakeSignal;
  readonly ready: Promise<void>;
  readonly closed: Promise<"ended" | "stopped">;
}

class ThreadedServer implements FuseServer {
  readonly negotiated: Negotiated;
  readonly connection: FuseConnection;
  readonly closed: Promise<"ended" | "stopped">;
  readonly #threads: readonly ServingThread[];
  readonly #clones: readonly number[];
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));

  constructor(
    fd: number,
    { options, connection }: { readonly options: ServeFuseOptions; readonly connection: FuseConnection },
  ) {
    this.connection = connection;
    this.negotiated = connection.negotiated;
    this.#clones = Array.from({ length: (options.threads ?? 1) - 1 }, () => cloneDevice(fd));
    this.#threads = [fd, ...this.#clones].map((device) => this.#startThread(device, options));
    const goOn = stopAtExit(() => this.#stopThreads());
    this.closed = this.#waitForEnd().finally(goOn);
    // Its failure is told by `ready` or to who asks; it must not end the process.
    this.closed.catch(() => undefined);
  }

  /** When all threads answer requests. */
  get ready(): Promise<unknown> {
    return Promise.all(this.#threads.map(({ ready }) => ready));
  }

  wake(): void {
    for (const { wake } of this.#threads) wake.notify();
  }

  async close(): Promise<void> {
    this.#stopThreads();
    await this.closed.catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #stopThreads(): void {
    Atomics.store(this.#stop, 0, 1);
    this.wake();
  }

  async #waitForEnd(): Promise<"ended" | "stopped"> {
    const outcomes = await Promise.allSettled(this.#threads.map(({ closed }) => this.#watch(closed)));
    for (const fd of this.#clones) closeSync(fd);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return outcomes.some((outcome) => outcome.status === "fulfilled" && outcome.value === "ended")
      ? "ended"
      : "stopped";
  }

  /** One thread that fails takes the others with it. */
  async #watch(closed: Promise<"ended" | "stopped">): Promise<"ended" | "stopped"> {
    try {
      return await closed;
    } catch (error) {
      this.#stopThreads();
      throw error;
    }
  }

  #startThread(fd: number, options: ServeFuseOptions): ServingThread {
    const wake = new WakeSignal();
    const start: WorkerStart = {
      fd,
      wakeFd: wake.fd,
      stop: this.#stop,
      filesystem: options.filesystem.href,
      data: options.data,
      negotiated: this.negotiated,
      hasDeferred: options.deferred !== undefined,
    };
    const program = new URL(`./device-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(program, {
      workerData: start,
      name: "esgz-fuse",
      transferList: [...(options.transfer ?? [])],
    });
    return { wake, ...listen(worker, { fd, options, wake, negotiated: this.negotiated }) };
  }
}

function listen(
  worker: Worker,
  context: {
    readonly fd: number;
    readonly wake: WakeSignal;
    readonly options: ServeFuseOptions;
    readonly negotiated: Negotiated;
  },
): Pick<ServingThread, "ready" | "closed"> {
  const { options } = context;
  const ready = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<"ended" | "stopped">();
  let isServing = true;
  const handler = deferredHandler({ ...context, isServing: () => isServing });
  worker.on("message", (message: WorkerMessage) => {
    if (message.kind === "ready") ready.resolve();
    else if (message.kind === "deferred") handler?.handle(message.message);
    else if (message.kind === "error") options.onError?.(revivedError(message.error), message.request);
    else closed.resolve(message.outcome);
  });
  const fail = (error: unknown): void => {
    ready.reject(error);
    closed.reject(error);
  };
  worker.on("error", fail);
  worker.on("exit", () => {
    isServing = false;
    context.wake.close();
    fail(new EsgzError("INTERNAL", "Cannot serve FUSE: expected the thread to run, got its end"));
  });
  // Whoever waits for one of them has it; the other must not end the process.
  ready.promise.catch(() => undefined);
  closed.promise.catch(() => undefined);
  return { ready: ready.promise, closed: exited(worker, closed.promise) };
}

/** A thread is over when it has exited: before that its descriptors are in use. */
async function exited<T>(worker: Worker, outcome: Promise<T>): Promise<T> {
  const exit = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
  try {
    return await outcome;
  } finally {
    await exit;
  }
}

function deferredHandler(context: {
  readonly fd: number;
  readonly options: ServeFuseOptions;
  readonly negotiated: Negotiated;
  readonly isServing: () => boolean;
}): RequestHandler | undefined {
  const { deferred, onError } = context.options;
  if (deferred === undefined) return undefined;
  return new RequestHandler(deferred, {
    negotiated: context.negotiated,
    // What is not answered by the end is the next server's; and the descriptor may be another file's by then.
    send: (parts) => void (context.isServing() && writeMessage(context.fd, parts)),
    onError,
  });
}

function cloneDevice(fd: number): number {
  const device = openSync(DEVICE, "r+");
  const result = loadNativeCalls()?.cloneDevice(device, fd) ?? -1;
  if (result >= 0) return device;
  closeSync(device);
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot serve FUSE with several threads: expected the device to be cloned, got errno ${-result}`,
  );
}

/** What a worker made of an error, as an error again. */
function revivedError(plain: unknown): unknown {
  if (typeof plain !== "object" || plain === null || plain instanceof Error || !("code" in plain))
    return plain;
  const { code, message, details } = plain as { code: ErrorCode; message: string; details: ErrorDetails };
  return new EsgzError(code, message, { details });
}
