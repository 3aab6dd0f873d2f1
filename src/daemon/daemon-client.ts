/**
 * The client of a store's daemon.
 *
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { basename, dirname } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { decodeUtf8 } from "../bytes/index.ts";
import type {
  ControlEvent,
  ControlFailure,
  ControlLine,
  DaemonInfo,
  ImageSummary,
  MountRequest,
  MountResult,
  MountStatus,
  PruneRequest,
  PruneSummary,
  PullRequest,
  PullResult,
  UsageSummary,
} from "./control-protocol.ts";
import { MAX_SOCKET_PATH } from "./socket-path.ts";
import { splitLines } from "./split-lines.ts";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call, and its work in the daemon. */
  readonly signal?: AbortSignal | undefined;
}

/** What a call with events takes. */
export interface EventCallOptions extends CallOptions {
  readonly onEvent?: ((event: ControlEvent) => void) | undefined;
}

/** How to reach a daemon. */
export interface DaemonClientOptions {
  /** Called when nobody listens any more, such as after an idle daemon has ended: starts one. */
  readonly revive?: ((options: CallOptions) => Promise<void>) | undefined;
}

interface Call extends CallOptions {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
}

/** What answers no request: nobody, or a daemon that has just ended. */
const NOBODY = new Set(["ENOENT", "ECONNREFUSED"]);
const BROKEN = new Set(["ECONNRESET", "EPIPE"]);
/** Sent to a daemon that ends, to none, to one that was started; and once more. */
const MAX_ATTEMPTS = 4;

/**
 * Talks to a daemon; see `control-protocol.ts` for what is said. While its server is started anew, calls wait.
 *
 * All calls throw what the daemon says, and `DAEMON_UNAVAILABLE`: nobody answers, or the connection broke.
 */
export class DaemonClient implements AsyncDisposable {
  readonly #path: string;
  readonly #directory: number | undefined;
  readonly #revive: DaemonClientOptions["revive"];
  #closed = false;

  /** @param path the control socket. */
  constructor(path: string, options: DaemonClientOptions = {}) {
    this.#revive = options.revive;
    this.#directory = Buffer.byteLength(path) > MAX_SOCKET_PATH ? openDirectory(path) : undefined;
    this.#path = this.#directory === undefined ? path : `/proc/self/fd/${this.#directory}/${basename(path)}`;
  }

  /** What the daemon is. */
  async info(options: CallOptions = {}): Promise<DaemonInfo> {
    return await this.#get("/v1/info", options);
  }

  /** Fills the store with an image. */
  async pull(request: PullRequest, options: EventCallOptions = {}): Promise<PullResult> {
    return await lastOf(this.pullEvents(request, options), options);
  }

  /** The lines of a pull, as they come; the last one has the result. Leaving the loop ends the pull. */
  async *pullEvents(
    request: PullRequest,
    options: CallOptions = {},
  ): AsyncGenerator<ControlLine<PullResult>> {
    yield* this.#lines<PullResult>({ method: "POST", path: "/v1/pull", body: request, ...options });
  }

  /** Mounts an image. */
  async mount(request: MountRequest, options: EventCallOptions = {}): Promise<MountResult> {
    return await lastOf(this.mountEvents(request, options), options);
  }

  /** The lines of a mount, as they come; the last one has the result. */
  async *mountEvents(
    request: MountRequest,
    options: CallOptions = {},
  ): AsyncGenerator<ControlLine<MountResult>> {
    yield* this.#lines<MountResult>({ method: "POST", path: "/v1/mounts", body: request, ...options });
  }

  /** All mounts of the store. */
  async mounts(options: CallOptions = {}): Promise<readonly MountStatus[]> {
    return await this.#get("/v1/mounts", options);
  }

  /** Ends a mount, by its directory or id. What a process owns only that process ends, with its id, unless lazily. */
  async unmount(
    target: string,
    options: CallOptions & { readonly lazy?: boolean; readonly ownerPid?: number } = {},
  ): Promise<void> {
    const lazy = options.lazy === true ? "1" : undefined;
    const query = { target, lazy, owner: options.ownerPid?.toString() };
    await this.#json({ method: "DELETE", path: "/v1/mounts", query, ...options });
  }

  /** All images of the store. */
  async images(options: CallOptions = {}): Promise<readonly ImageSummary[]> {
    return await this.#get("/v1/images", options);
  }

  /** Forgets an image, for one platform or for all. */
  async removeImage(
    name: string,
    options: CallOptions & { readonly platform?: string | undefined } = {},
  ): Promise<void> {
    const query = { name, platform: options.platform };
    await this.#json({ method: "DELETE", path: "/v1/images", query, ...options });
  }

  /** What the store takes on the disk. */
  async usage(options: CallOptions = {}): Promise<UsageSummary> {
    return await this.#get("/v1/usage", options);
  }

  /** Takes away what nothing needs. */
  async prune(request: PruneRequest = {}, options: CallOptions = {}): Promise<PruneSummary> {
    return await this.#json({ method: "POST", path: "/v1/prune", body: request, ...options });
  }

  /** Ends the daemon and its mounts. Those in use keep it from ending unless `force`. */
  async stop(request: { readonly force?: boolean } = {}, options: CallOptions = {}): Promise<void> {
    await this.#json({ method: "POST", path: "/v1/stop", body: request, ...options });
  }

  /** Has another server take over; mounts stay. */
  async renew(options: CallOptions = {}): Promise<void> {
    await this.#json({ method: "POST", path: "/v1/renew", body: {}, ...options });
  }

  /** Mounts an additional layer store for Podman and CRI-O. */
  async serveLayers(directory: string, options: CallOptions = {}): Promise<void> {
    await this.#json({ method: "POST", path: "/v1/layer-stores", body: { directory }, ...options });
  }

  /** Takes an additional layer store away. */
  async removeLayerStore(directory: string, options: CallOptions = {}): Promise<void> {
    await this.#json({ method: "DELETE", path: "/v1/layer-stores", query: { directory }, ...options });
  }

  /** Prometheus text. */
  async metrics(options: CallOptions = {}): Promise<string> {
    const chunks: Buffer[] = [];
    const response = await this.#send({ method: "GET", path: "/metrics", ...options });
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return decodeUtf8(Buffer.concat(chunks));
  }

  /** Lets go of the daemon, which goes on. Idempotent. */
  close(): Promise<void> {
    if (!this.#closed && this.#directory !== undefined) closeSync(this.#directory);
    this.#closed = true;
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #get<T>(path: string, options: CallOptions): Promise<T> {
    return await this.#json<T>({ method: "GET", path, signal: options.signal });
  }

  async #json<T>(call: Call): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return (await readJson(await this.#send(call))) as T;
      } catch (error) {
        // A server that was killed while it answered: what only reads may be asked again.
        const isLost = call.method === "GET" && error instanceof EsgzError && error.details["lost"] === true;
        if (!isLost || attempt > 0) throw error;
      }
    }
  }

  async *#lines<T>(call: Call): AsyncGenerator<ControlLine<T>> {
    const response = await this.#send(call);
    try {
      for await (const line of splitLines(response)) {
        const parsed = JSON.parse(line) as ControlLine<T>;
        yield parsed;
        if (!("event" in parsed)) return;
      }
      throw connectionLost("its answer ended early");
    } catch (error) {
      call.signal?.throwIfAborted();
      throw systemCodeOf(error) === undefined || error instanceof EsgzError
        ? error
        : connectionLost(messageOf(error), error);
    } finally {
      response.destroy();
    }
  }

  /**
   * Sends a request until somebody answers; an answer that is a failure is thrown. What nobody has accepted is sent again,
   * such as to the daemon that follows one that has just ended; so is what only reads.
   */
  async #send(call: Call): Promise<IncomingMessage> {
    for (let attempt = 1; ; attempt += 1) {
      let accepted = false;
      try {
        const response = await this.#exchange(call, () => (accepted = true));
        if (response.statusCode === 200) return response;
        throw failureFrom(await readJson(response));
      } catch (error) {
        call.signal?.throwIfAborted();
        const code = systemCodeOf(error);
        if (error instanceof EsgzError) throw error;
        const isDead = code !== undefined && NOBODY.has(code);
        const isLost = code !== undefined && BROKEN.has(code) && (call.method === "GET" || !accepted);
        if (attempt === MAX_ATTEMPTS || !(isDead || isLost)) throw connectionLost(messageOf(error), error);
        if (isDead && this.#revive === undefined) throw connectionLost(messageOf(error), error);
        if (isDead) await this.#revive?.({ signal: call.signal });
      }
    }
  }

  /** One request. What changes something waits to be expected: until then it is certain that nothing was done. */
  #exchange(
    { method, path, query = {}, body, signal }: Call,
    onAccepted: () => void,
  ): Promise<IncomingMessage> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        socketPath: this.#path,
        method,
        path: `${path}${queryText(query)}`,
        // No connection is kept: a server that is gone by the next call would break it.
        agent: false,
        ...(signal === undefined ? {} : { signal }),
        headers: {
          host: "esgz",
          ...(method === "GET" ? {} : { expect: "100-continue" }),
          ...(text === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
        },
      });
      request.on("response", resolve).on("error", reject);
      if (method === "GET") {
        request.end();
        return;
      }
      request.once("continue", () => {
        onAccepted();
        request.end(text);
      });
      request.flushHeaders();
    });
  }
}

async function lastOf<T>(lines: AsyncIterable<ControlLine<T>>, options: EventCallOptions): Promise<T> {
  for await (const line of lines) {
    if ("event" in line) options.onEvent?.(line.event);
    else if ("result" in line) return line.result;
    else throw errorFrom(line.error);
  }
  throw connectionLost("no result");
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return JSON.parse(decodeUtf8(Buffer.concat(chunks)));
  } catch (error) {
    throw connectionLost(messageOf(error), error);
  }
}

function failureFrom(body: unknown): EsgzError {
  return errorFrom((body as { readonly error: ControlFailure }).error);
}

/** An error of the daemon, as an error here. */
export function errorFrom({ code, message, details = {} }: ControlFailure): EsgzError {
  return new EsgzError(code, message, { details });
}

function connectionLost(found: string, cause?: unknown): EsgzError {
  return new EsgzError("DAEMON_UNAVAILABLE", `Cannot talk to the daemon: expected an answer, got ${found}`, {
    cause,
    details: { lost: true },
  });
}

function queryText(query: Readonly<Record<string, string | undefined>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, value);
  return parameters.size === 0 ? "" : `?${parameters.toString()}`;
}

function openDirectory(path: string): number {
  try {
    return openSync(dirname(path), constants.O_DIRECTORY);
  } catch (error) {
    throw new EsgzError(
      "DAEMON_UNAVAILABLE",
      `Cannot talk to the daemon: expected a socket "${path}", got ${messageOf(error)}`,
      { cause: error },
    );
  }
}
