/**
 * The client of a store's daemon.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { decodeUtf8 } from "../bytes/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import {
  type CallOptions,
  type DaemonClientOptions,
  connectionLost,
  ControlConnection,
} from "./control-connection.ts";
import { errorFrom } from "./control-failure.ts";
import type {
  ControlEvent,
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

/** What a call with events takes. */
export interface EventCallOptions extends CallOptions {
  readonly onEvent?: ((event: ControlEvent) => void) | undefined;
}

/**
 * Talks to a daemon; see `control-protocol.ts` for what is said. While its server is started anew, calls wait.
 *
 * All calls throw what the daemon says, and `DAEMON_UNAVAILABLE`: nobody answers, or the connection broke.
 */
export class DaemonClient implements AsyncDisposable {
  readonly #connection: ControlConnection;

  /** @param path the control socket. */
  constructor(path: string, options: DaemonClientOptions = {}) {
    this.#connection = new ControlConnection(path, options);
  }

  /** What the daemon is. */
  async info(options: CallOptions = {}): Promise<DaemonInfo> {
    return await this.#get("/v1/info", options);
  }

  /** Fills the store with an image. Where the server that did it is gone, the next one goes on with what is there. */
  async pull(request: PullRequest, options: EventCallOptions = {}): Promise<PullResult> {
    return await repeated(() => lastOf(this.pullEvents(request, options), options));
  }

  /** The lines of a pull, as they come; the last one has the result. Leaving the loop ends the pull. */
  async *pullEvents(
    request: PullRequest,
    options: CallOptions = {},
  ): AsyncGenerator<ControlLine<PullResult>> {
    yield* this.#connection.lines<PullResult>({
      method: "POST",
      path: "/v1/pull",
      body: request,
      ...options,
    });
  }

  /** Mounts an image. Where the server that did it is gone, the next one does it, or says that it was done. */
  async mount(request: MountRequest, options: EventCallOptions = {}): Promise<MountResult> {
    const named = { id: randomBytes(8).toString("hex"), ...request };
    return await repeated(() => lastOf(this.mountEvents(named, options), options));
  }

  /** The lines of a mount, as they come; the last one has the result. */
  async *mountEvents(
    request: MountRequest,
    options: CallOptions = {},
  ): AsyncGenerator<ControlLine<MountResult>> {
    yield* this.#connection.lines<MountResult>({
      method: "POST",
      path: "/v1/mounts",
      body: request,
      ...options,
    });
  }

  /** All mounts of the store. */
  async mounts(options: CallOptions = {}): Promise<readonly MountStatus[]> {
    return await this.#get("/v1/mounts", options);
  }

  /**
   * Ends a mount, by its directory or id. What a process owns only that process ends, with its id, unless lazily. By its id it is
   * ended also where the server that did it is gone; at a directory another mount may have come to light.
   */
  async unmount(
    target: string,
    options: CallOptions & { readonly lazy?: boolean; readonly ownerPid?: number } = {},
  ): Promise<void> {
    const lazy = options.lazy === true ? "1" : undefined;
    const query = { target, lazy, owner: options.ownerPid?.toString() };
    const end = async (): Promise<void> =>
      await this.#connection.json({ method: "DELETE", path: "/v1/mounts", query, ...options });
    if (target.startsWith("/")) return await end();
    let attempts = 0;
    await repeated(async () => {
      attempts += 1;
      await end().catch((error: unknown) => {
        // The server that is gone had done it.
        if (attempts === 1 || !isEsgzError(error, "FILE_NOT_FOUND")) throw error;
      });
    });
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
    await this.#connection.json({ method: "DELETE", path: "/v1/images", query, ...options });
  }

  /** What the store takes on the disk. */
  async usage(options: CallOptions = {}): Promise<UsageSummary> {
    return await this.#get("/v1/usage", options);
  }

  /** Takes away what nothing needs. */
  async prune(request: PruneRequest = {}, options: CallOptions = {}): Promise<PruneSummary> {
    return await this.#connection.json({ method: "POST", path: "/v1/prune", body: request, ...options });
  }

  /** Ends the daemon and its mounts. Those in use keep it from ending unless `force`. */
  async stop(request: { readonly force?: boolean } = {}, options: CallOptions = {}): Promise<void> {
    await this.#connection.json({ method: "POST", path: "/v1/stop", body: request, ...options });
  }

  /** Has another server take over; mounts stay. */
  async renew(options: CallOptions = {}): Promise<void> {
    await this.#connection.json({ method: "POST", path: "/v1/renew", body: {}, ...options });
  }

  /** Mounts an additional layer store for Podman and CRI-O. */
  async serveLayers(directory: string, options: CallOptions = {}): Promise<void> {
    await this.#connection.json({
      method: "POST",
      path: "/v1/layer-stores",
      body: { directory },
      ...options,
    });
  }

  /** Takes an additional layer store away. */
  async removeLayerStore(directory: string, options: CallOptions = {}): Promise<void> {
    await this.#connection.json({
      method: "DELETE",
      path: "/v1/layer-stores",
      query: { directory },
      ...options,
    });
  }

  /** Prometheus text. */
  async metrics(options: CallOptions = {}): Promise<string> {
    const chunks: Buffer[] = [];
    const response = await this.#connection.send({ method: "GET", path: "/metrics", ...options });
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return decodeUtf8(Buffer.concat(chunks));
  }

  /** Lets go of the daemon, which goes on. Idempotent. */
  close(): Promise<void> {
    this.#connection[Symbol.dispose]();
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #get<T>(path: string, options: CallOptions): Promise<T> {
    return await this.#connection.json<T>({ method: "GET", path, signal: options.signal });
  }
}

/** A server that ends each time in the middle of a request may do so because of it. */
const MAX_REPEATS = 5;

/** Asks again where the server was gone before it answered. */
async function repeated<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (error) {
      const isLost = error instanceof EsgzError && error.details["lost"] === true;
      if (!isLost) throw error;
      if (attempt === MAX_REPEATS) throw serversEnd(error);
    }
  }
}

function serversEnd(cause: EsgzError): EsgzError {
  const message = `Cannot talk to the daemon: expected an answer, got ${MAX_REPEATS} servers in a row that ended before it; the daemon's log may say why`;
  return new EsgzError("DAEMON_UNAVAILABLE", message, { cause, details: cause.details });
}

async function lastOf<T>(lines: AsyncIterable<ControlLine<T>>, options: EventCallOptions): Promise<T> {
  for await (const line of lines) {
    if ("event" in line) options.onEvent?.(line.event);
    else if ("result" in line) return line.result;
    else throw errorFrom(line.error);
  }
  throw connectionLost("no result");
}
