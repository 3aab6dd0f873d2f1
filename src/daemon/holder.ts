/**
 * The process that does not die: it keeps sockets and FUSE devices, and starts servers.
 *
 * It does nothing else, so that nothing can go wrong: it reads no configuration, opens no store, and never touches a
 * path on one of its own mounts, for which it would wait for ever if its server is dead.
 *
 * @module
 */
import { messageOf } from "../errors/index.ts";
import type { ControlFailure } from "./control-protocol.ts";
import { daemonFilesOf } from "./daemon-files.ts";
import { acquireDaemonLock, type DaemonLock } from "./daemon-lock.ts";
import { DeathWatch } from "./death-watch.ts";
import { FuseShelf } from "./fuse-shelf.ts";
import { logHolder } from "./holder-log.ts";
import type { AdoptedSession, DaemonSettings, HolderMessage, SocketPlace } from "./holder-messages.ts";
import { closeListeningSocket, type ListeningSocket } from "./listening-socket.ts";
import { loadNativeCalls, POLL } from "./native-calls.ts";
import { openDaemonSocket, openDaemonSockets } from "./open-daemon-sockets.ts";
import { RespawnDelay } from "./respawn-delay.ts";
import { type ServerExit, ServerProcess } from "./server-process.ts";
import { trimMemory } from "./trim-memory.ts";
import type { ActivatedSocket } from "./service-activation.ts";

/** What a holder begins with. */
export interface HolderStart {
  readonly settings: DaemonSettings;
  /** Sockets that systemd opened. */
  readonly activated?: readonly ActivatedSocket[];
  /** What a holder that was killed left to its server. */
  readonly inherited?: HolderLegacy;
}

/** What is handed from one holder to the next. */
export interface HolderLegacy {
  readonly listening: readonly ListeningSocket[];
  readonly adopted: readonly AdoptedSession[];
  readonly restarts: number;
  readonly startedMs: number;
  readonly lastConfig?: string | undefined;
}

/** How a holder ended: in peace, or since its first server did not start. */
export type HolderEnd = { readonly failure?: ControlFailure };

/** What a holder tells whoever runs it. */
export type HolderState = "ready" | "renewing" | "stopping";

/** Longer than a server may take to close its store. */
const STOP_TIMEOUT_MS = 60_000;
const STOP_ATTEMPTS = 2;
/** When a server has begun, and nothing else has happened for so long. */
const QUIET_MS = 5000;

/** Keeps the sockets and mounts of one store, and a server that serves them. */
export class Holder implements Disposable {
  readonly #settings: DaemonSettings;
  readonly #lock: DaemonLock;
  readonly #listening: ListeningSocket[];
  readonly #shelf: FuseShelf;
  readonly #startedMs: number;
  readonly #delay = new RespawnDelay();
  readonly #ended = Promise.withResolvers<HolderEnd>();
  readonly #onState: (state: HolderState) => void;
  #server: ServerProcess | undefined;
  #watch: DeathWatch | undefined;
  #trimTimer: NodeJS.Timeout | undefined;
  #restarts: number;
  #stopping: { why: "asked" | "idle"; attempts: number } | undefined;
  #failure: ControlFailure | undefined;
  #lastConfig: string | undefined;
  #wasReady: boolean;
  #timer: NodeJS.Timeout | undefined;

  private constructor(
    start: HolderStart,
    parts: {
      readonly lock: DaemonLock;
      readonly listening: readonly ListeningSocket[];
      readonly onState: (state: HolderState) => void;
    },
  ) {
    const { inherited } = start;
    this.#settings = start.settings;
    this.#lock = parts.lock;
    this.#listening = [...parts.listening];
    this.#onState = parts.onState;
    this.#shelf = new FuseShelf(inherited?.adopted);
    this.#startedMs = inherited?.startedMs ?? Date.now();
    this.#restarts = inherited === undefined ? 0 : inherited.restarts + 1;
    this.#lastConfig = inherited?.lastConfig;
    this.#wasReady = inherited !== undefined;
  }

  /**
   * Takes the lock of the store and its sockets: from here on clients can connect, and wait.
   *
   * @throws {EsgzError} `ALREADY_EXISTS` if the store has a daemon; `IO_FAILED`, `NOT_SUPPORTED`
   */
  static open(start: HolderStart, onState: (state: HolderState) => void): Holder {
    const lock = acquireDaemonLock(daemonFilesOf(start.settings.store).lock);
    try {
      return new Holder(start, {
        lock,
        listening: start.inherited?.listening ?? openDaemonSockets(start),
        onState,
      });
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** Serves until it is stopped, or the first server fails. */
  async run(): Promise<HolderEnd> {
    this.#spawn();
    return await this.#ended.promise;
  }

  /** Ends the server, which ends the mounts, and then this holder. Asked once more: does not wait for the server. */
  stop(why: "asked" | "idle"): void {
    if (this.#stopping !== undefined) {
      if (why === "asked" && this.#stopping.why === "asked") this.#server?.kill();
      else if (why === "asked") this.#stopping.why = why;
      return;
    }
    this.#stopping = { why, attempts: 0 };
    this.#onState("stopping");
    if (this.#server !== undefined) this.#askToStop(this.#server);
    else if (this.#shelf.sessions.length > 0) this.#spawn();
    else this.#finish();
  }

  /** Has the server end after it has stopped reading, and starts another one, which goes on with all mounts. */
  renew(): void {
    if (this.#stopping !== undefined || this.#server === undefined) return;
    this.#onState("renewing");
    this.#server.send({ kind: "retire" });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#trimTimer);
    this.#watch?.[Symbol.dispose]();
    this.#shelf.clear();
    for (const socket of this.#listening) closeListeningSocket(socket);
    this.#lock[Symbol.dispose]();
  }

  #spawn(): void {
    clearTimeout(this.#timer);
    this.#shelf.releaseDead();
    try {
      this.#server = this.#startServer();
    } catch (error) {
      // Where there is no memory for another process now, there may be some soon.
      this.#failure = { code: "DAEMON_UNAVAILABLE", message: `Cannot start server: ${messageOf(error)}` };
      this.#onExit({ code: null, signal: null, servedMs: undefined });
    }
  }

  #startServer(): ServerProcess {
    const server: ServerProcess = new ServerProcess({
      start: {
        settings: this.#settings,
        listening: this.#listening,
        adopted: this.#shelf.sessions,
        holderPid: process.pid,
        startedMs: this.#startedMs,
        restarts: this.#restarts,
        lastConfig: this.#lastConfig,
      },
      onMessage: (message) => this.#take(message, server),
      onExit: (exit) => this.#onExit(exit),
    });
    if (server.pid !== undefined) this.#watch = new DeathWatch(server.pid, () => this.#shelf.sessions);
    return server;
  }

  #take(message: HolderMessage, server: ServerProcess): void {
    switch (message.kind) {
      case "ready":
        this.#lastConfig = message.config;
        this.#wasReady = true;
        this.#trimWhenQuiet();
        if (this.#stopping === undefined) this.#onState("ready");
        else this.#askToStop(server);
        break;
      case "failed":
        this.#failure = message.error;
        break;
      case "adopt": {
        const failure = this.#shelf.adopt(message.session, server.pid ?? 0);
        if (failure !== undefined)
          logHolder("error", "cannot keep a FUSE session", { id: message.session.id, failure });
        server.send({
          kind: "done",
          request: message.request,
          ...(failure === undefined ? {} : { failure }),
        });
        break;
      }
      case "release":
        this.#shelf.release(message.id);
        break;
      case "listen":
        this.#listen(message.sockets);
        break;
      case "stop":
        this.stop(message.why);
        break;
      case "renew":
        this.renew();
        break;
    }
  }

  /** Opens more sockets, and has another server serve them. */
  #listen(sockets: readonly SocketPlace[]): void {
    const before = this.#listening.length;
    for (const socket of sockets) {
      try {
        this.#listening.push(openDaemonSocket(socket));
      } catch (error) {
        logHolder("error", "cannot open a socket", { path: socket.path, failure: messageOf(error) });
      }
    }
    if (this.#listening.length > before) this.renew();
  }

  #onExit({ code, signal, servedMs }: ServerExit): void {
    this.#server = undefined;
    this.#watch?.[Symbol.dispose]();
    clearTimeout(this.#timer);
    if (this.#stopping !== undefined) {
      this.#onStopped(code === 0);
      return;
    }
    if (!this.#wasReady) {
      this.#finish(this.#failure ?? unexplained(code, signal));
      return;
    }
    const delayMs = this.#delay.afterDeath(servedMs);
    this.#restarts += 1;
    if (code !== 0 || servedMs === undefined) {
      logHolder("error", "the server died", { code, signal, servedMs, delayMs, failure: this.#failure });
    }
    this.#failure = undefined;
    if (delayMs === 0) this.#spawn();
    else this.#timer = setTimeout(() => this.#spawn(), delayMs);
  }

  #onStopped(cleanly: boolean): void {
    const stopping = this.#stopping;
    if (stopping === undefined) return;
    if (cleanly && stopping.why === "idle" && this.#hasCallers()) {
      this.#stopping = undefined;
      this.#restarts += 1;
      this.#spawn();
      return;
    }
    stopping.attempts += 1;
    this.#shelf.releaseDead();
    // One that was killed while it cleaned up, or ended for another one to go on, has left something to clean up.
    const isLeft = this.#shelf.sessions.length > 0 && stopping.attempts < STOP_ATTEMPTS;
    if (isLeft) this.#spawn();
    else this.#finish();
  }

  #askToStop(server: ServerProcess): void {
    server.send({ kind: "stop" });
    // A server that begins while it is to end is asked twice.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      logHolder("error", "the server did not stop in time");
      server.kill();
    }, STOP_TIMEOUT_MS);
  }

  /** Whether somebody has connected whom no server has accepted. */
  #hasCallers(): boolean {
    const calls = loadNativeCalls();
    return this.#listening.some(({ fd }) => (calls.poll(fd) & POLL.readable) !== 0);
  }

  /** What it needed to begin, it needs no more. */
  #trimWhenQuiet(): void {
    clearTimeout(this.#trimTimer);
    this.#trimTimer = setTimeout(trimMemory, QUIET_MS);
    this.#trimTimer.unref();
  }

  #finish(failure?: ControlFailure): void {
    this[Symbol.dispose]();
    this.#ended.resolve(failure === undefined ? {} : { failure });
  }
}

function unexplained(code: number | null, signal: NodeJS.Signals | null): ControlFailure {
  return {
    code: "DAEMON_UNAVAILABLE",
    message: `Cannot start daemon: expected the server to run, got ${signal === null ? `exit status ${code}` : signal}`,
  };
}
