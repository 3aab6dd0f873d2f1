/**
 * One place that speaks the distribution protocol: authentication, redirects, and nothing about content.
 *
 * @module
 */
import { type Clock, untilAborted } from "../async/index.ts";
import type { ByteRange } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { Authorizer, tlsForOther } from "./authorizer.ts";
import type { CredentialProvider } from "./credential.ts";
import { baseUrlOf, type EndpointConfig } from "./host-config.ts";
import type { HttpMethod, HttpTransport } from "./http-transport.ts";
import type { HttpResponse } from "./http-response.ts";
import { redactUrl } from "./redact-url.ts";

/** What an endpoint works with. */
export interface EndpointOptions {
  /** The name under which users know it, and credentials are looked up. */
  readonly registry: string;
  readonly config: EndpointConfig;
  /** For a mirror: the registry that it stands for, sent as `ns`. */
  readonly mirrorOf?: string | undefined;
  readonly transport: HttpTransport;
  readonly credentials: CredentialProvider | undefined;
  readonly clock: Clock;
}

/** A request to an endpoint. */
export interface EndpointRequest {
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  readonly range?: ByteRange | undefined;
  /** Token scopes, as `repository:library/python:pull`. */
  readonly scopes?: readonly string[] | undefined;
  readonly repository?: string | undefined;
  /** Overrides the client's, in milliseconds. */
  readonly stallTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_REDIRECTS = 10;
/** One for a challenge, one for a cached token of the wider scope that turns out to be stale. */
const MAX_RENEWALS = 2;

/** A registry or a mirror. */
export class Endpoint {
  readonly registry: string;
  /** Ends in `/v2/`, or where else the API was said to be. */
  readonly base: URL;
  readonly mirrorOf: string | undefined;
  /** Milliseconds of the clock; before it, a mirror is left out. */
  avoidUntilMs = 0;
  /** Where a request for a blob ended last. */
  blobsAt: URL | undefined;
  readonly #options: EndpointOptions;
  readonly #authorizer: Authorizer;

  /** @throws {EsgzError} `CONFIGURATION_INVALID` for an unusable address. */
  constructor(options: EndpointOptions) {
    this.#options = options;
    this.registry = options.registry;
    this.base = baseUrlOf(options.registry, options.config);
    this.mirrorOf =
      options.mirrorOf === undefined || options.mirrorOf === this.base.host ? undefined : options.mirrorOf;
    this.#authorizer = new Authorizer({
      registry: options.registry,
      origin: this.base,
      credentials: options.credentials,
      transport: options.transport,
      tls: options.config,
      clock: options.clock,
    });
  }

  /** The URL of a path of the API. */
  urlOf(path: string, query: Readonly<Record<string, string>> = {}): URL {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) url.searchParams.append(name, value);
    if (this.mirrorOf !== undefined) url.searchParams.set("ns", this.mirrorOf);
    return url;
  }

  /**
   * Sends a request, authenticates where the endpoint asks for it, and follows redirects: GET and HEAD everywhere but from
   * https to http, others only with 307 and 308 and a body that can be sent twice. Any final status is an answer.
   *
   * @throws {EsgzError} `REGISTRY_PROTOCOL` for redirects that may not be followed; codes of the transport and of token
   * servers.
   */
  async send(request: EndpointRequest): Promise<HttpResponse> {
    let url = request.url;
    for (let hop = 0; ; hop += 1) {
      const response = await this.#sendOnce({ ...request, url });
      const location = redirectLocation(request, response);
      if (location === undefined) return response;
      await response.discard();
      if (hop >= MAX_REDIRECTS) throw redirectRefused(request.url, `more than ${MAX_REDIRECTS} redirects`);
      url = this.#redirectTarget(location, url);
    }
  }

  /**
   * Makes connections for requests that will come, to the endpoint itself by default.
   *
   * @throws {EsgzError} `CONFIGURATION_INVALID`, `NETWORK_FAILED` if all is closed
   */
  async connectAhead(count: number, target: URL = this.base): Promise<void> {
    const { transport, config } = this.#options;
    await transport.connectAhead(target, { tls: tlsForOther(config, this.base, target) ?? {}, count });
  }

  /**
   * Resolves an upload or page location that this endpoint named.
   *
   * @throws {EsgzError} `REGISTRY_PROTOCOL` if it is missing, unreadable, or a downgrade to http.
   */
  resolveLocation(location: string | undefined, from: URL): URL {
    if (location === undefined) throw redirectRefused(from, "no Location");
    return this.#redirectTarget(location, from);
  }

  async #sendOnce(request: EndpointRequest): Promise<HttpResponse> {
    if (request.url.origin !== this.base.origin) return await this.#exchange(request, {});
    const access = { scopes: request.scopes ?? [], repository: request.repository };
    let grant = await untilAborted(this.#authorizer.grantFor(access), request.signal);
    for (let renewal = 0; ; renewal += 1) {
      const own = this.#options.config.headers ?? {};
      const auth = grant.header === undefined ? {} : { authorization: grant.header };
      const response = await this.#exchange(request, { ...own, ...auth });
      const refused = response.status === 401 || response.status === 403;
      if (!refused || renewal >= MAX_RENEWALS || !isReplayable(request)) return response;
      const renewing = this.#authorizer.renew(response, access, grant);
      const renewed = await untilAborted(renewing, request.signal).catch(async (error: unknown) => {
        await response.discard();
        throw error;
      });
      if (renewed === undefined) return response;
      await response.discard();
      grant = renewed;
    }
  }

  #exchange(request: EndpointRequest, extra: Readonly<Record<string, string>>): Promise<HttpResponse> {
    const { method, url, headers, body, range, stallTimeoutMs, signal } = request;
    return this.#options.transport.exchange({
      method,
      url,
      headers: { ...extra, ...headers },
      body,
      range,
      stallTimeoutMs,
      signal,
      tls: tlsForOther(this.#options.config, this.base, url),
    });
  }

  #redirectTarget(location: string, from: URL): URL {
    if (!URL.canParse(location, from.href)) throw redirectRefused(from, "an unreadable Location");
    const target = new URL(location, from);
    if (target.protocol !== "https:" && target.protocol !== "http:") {
      throw redirectRefused(from, `a redirect to "${target.protocol}"`);
    }
    if (target.protocol === "http:" && from.protocol === "https:") {
      throw redirectRefused(from, `a downgrade to "${redactUrl(target)}"`);
    }
    if (target.username !== "" || target.password !== "") {
      throw redirectRefused(from, "a redirect with credentials in its URL");
    }
    target.hash = "";
    return target;
  }
}

/** The Location of a redirect that the request may follow. */
function redirectLocation(request: EndpointRequest, response: HttpResponse): string | undefined {
  const always = response.status === 307 || response.status === 308;
  if (!always && ![301, 302, 303].includes(response.status)) return undefined;
  const reading = request.method === "GET" || request.method === "HEAD";
  if (!reading && !(always && isReplayable(request))) return undefined;
  return response.header("location");
}

function isReplayable({ body }: EndpointRequest): boolean {
  return body === undefined || body instanceof Uint8Array;
}

function redirectRefused(from: URL, found: string): EsgzError {
  return new EsgzError(
    "REGISTRY_PROTOCOL",
    `Cannot follow answer of "${redactUrl(from)}": expected a Location that may be followed, got ${found}`,
  );
}
