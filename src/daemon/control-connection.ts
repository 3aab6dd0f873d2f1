/**
 * The way to a store's daemon: HTTP over its control socket.
 *
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { basename, dirname } from "node:path";
import { decodeUtf8 } from "../bytes/index.ts";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { errorFrom } from "./control-failure.ts";
import type { ControlFailure, ControlLine } from "./control-protocol.ts";
import { MAX_SOCKET_PATH } from "./socket-path.ts";
import { splitLines } from "./split-lines.ts";

/** What every call takes. */
export interface CallOptions {
  /** Ends the call, and its work in the daemon. */
  readonly signal?: AbortSignal | undefined;
}

/** How to reach a daemon. */
export interface DaemonClientOptions {
  /** Called when nobody listens any more, such as after an idle daemon has ended: starts one. */
  readonly revive?: ((options: CallOptions) => Promise<void>) | undefined;
}

/** One request. */
export interface ControlRequest extends CallOptions {
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
 * Sends requests to a daemon, each over a connection of its own. While its server is started anew, they wait.
 *
 * All throw what the daemon says, and `DAEMON_UNAVAILABLE`: nobody answers, or the connection broke.
 */
export class ControlConnection implements Disposable {
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

  /** The JSON of an answer. */
  async json<T>(call: ControlRequest): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return (await readJson(await this.send(call))) as T;
      } catch (error) {
        // A server that was killed while it answered: what only reads may be asked again.
        const isLost = call.method === "GET" && error instanceof EsgzError && error.details["lost"] === true;
        if (!isLost || attempt > 0) throw error;
      }
    }
  }

  /** The lines of an answer, as they come, up to the last one. Leaving the loop ends the request. */
  async *lines<T>(call: ControlRequest): AsyncGenerator<ControlLine<T>> {
    const response = await this.send(call);
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
  async send(call: ControlRequest): Promise<IncomingMessage> {
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
    { method, path, query = {}, body, signal }: ControlRequest,
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
      // A refusal comes instead.
      request.once("response", () => request.end());
      request.flushHeaders();
    });
  }

  /** Lets go of the socket's directory. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.#closed && this.#directory !== undefined) closeSync(this.#directory);
    this.#closed = true;
  }
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

/** The error where an answer breaks off, or none comes. */
export function connectionLost(found: string, cause?: unknown): EsgzError {
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
