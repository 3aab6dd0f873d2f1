/**
 * A registry as its users see it: mirrors to read from first, the registry itself for everything.
 *
 * @module
 */
import { type Clock, retry, type RetryPolicy } from "../async/index.ts";
import { EsgzError, type ErrorCode, isEsgzError } from "../errors/index.ts";
import type { CredentialProvider } from "./credential.ts";
import { Endpoint } from "./endpoint.ts";
import { defaultUploadMode, type HostConfig, type UploadMode } from "./host-config.ts";
import type { HttpTransport } from "./http-transport.ts";
import type { HttpResponse } from "./http-response.ts";
import { responseFailure } from "./response-failure.ts";
import { judgeFailure, RetryBudget } from "./retry-budget.ts";

/** What all hosts of a client share. */
export interface HostContext {
  readonly transport: HttpTransport;
  readonly credentials: CredentialProvider | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly retryPolicy: RetryPolicy;
}

/** A mirror that failed is left out for this long. */
const AVOID_MS = 30_000;
/** Tries per mirror: there is another place to go to. */
const MIRROR_ATTEMPTS = 2;
const OUTAGES: ReadonlySet<ErrorCode> = new Set(["NETWORK_FAILED", "TIMED_OUT", "REGISTRY_UNAVAILABLE"]);

/** The endpoints of one registry and the rules of trying them. */
export class RegistryHost {
  readonly registry: string;
  readonly upstream: Endpoint;
  readonly uploadMode: UploadMode;
  readonly #mirrors: readonly Endpoint[];
  readonly #context: HostContext;

  /** @throws {EsgzError} `CONFIGURATION_INVALID` */
  constructor(registry: string, config: HostConfig, context: HostContext) {
    this.registry = registry;
    this.#context = context;
    this.uploadMode = config.uploads ?? defaultUploadMode(registry);
    const { transport, credentials, clock } = context;
    const shared = { transport, credentials, clock };
    this.upstream = new Endpoint({ ...shared, registry, config });
    this.#mirrors = (config.mirrors ?? []).map((mirror) => {
      const host = URL.canParse(mirror.url) ? new URL(mirror.url).host : mirror.url.split("/")[0];
      return new Endpoint({ ...shared, registry: host ?? "", config: mirror, mirrorOf: registry });
    });
  }

  /** Where to read from, best first: mirrors in order, without those that failed lately, then the registry. */
  readOrder(): readonly Endpoint[] {
    const nowMs = this.#context.clock.nowMs();
    const well = this.#mirrors.filter(({ avoidUntilMs }) => avoidUntilMs <= nowMs);
    return [...well, this.upstream];
  }

  /** Runs `work` with each endpoint in order until one succeeds; each is tried again where that can help. */
  async read<T>(work: (endpoint: Endpoint) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const endpoints = this.readOrder();
    for (const endpoint of endpoints) {
      try {
        return await this.attempt(() => work(endpoint), { signal, mirror: endpoint !== this.upstream });
      } catch (error) {
        // Who would not wait any longer asks elsewhere next time.
        this.noteFailure(endpoint, signal?.aborted === true ? signal.reason : error);
        signal?.throwIfAborted();
        if (endpoint === this.upstream || !isEsgzError(error)) throw error;
      }
    }
    throw new EsgzError("INTERNAL", `Cannot read from registry "${this.registry}": it has no endpoint`);
  }

  /** Runs `work` with the registry itself, again where that can help. */
  async write<T>(work: (endpoint: Endpoint) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return await this.attempt(() => work(this.upstream), { signal, mirror: false });
  }

  /** Runs `work`, and again after failures that pass with time. */
  async attempt<T>(
    work: () => Promise<T>,
    options: { readonly signal: AbortSignal | undefined; readonly mirror: boolean },
  ): Promise<T> {
    const { retryPolicy, clock, random } = this.#context;
    const attempts = options.mirror ? Math.min(MIRROR_ATTEMPTS, retryPolicy.attempts) : retryPolicy.attempts;
    const policy = { ...retryPolicy, attempts };
    return await retry(work, { policy, clock, random, judge: judgeFailure, signal: options.signal });
  }

  /** The budget for one long transfer from an endpoint. */
  budgetFor(endpoint: Endpoint): RetryBudget {
    const { retryPolicy, clock, random } = this.#context;
    const attempts =
      endpoint === this.upstream ? retryPolicy.attempts : Math.min(MIRROR_ATTEMPTS, retryPolicy.attempts);
    return new RetryBudget({ policy: { ...retryPolicy, attempts }, clock, random });
  }

  /** Remembers that a mirror is out of order. */
  noteFailure(endpoint: Endpoint, error: unknown): void {
    if (endpoint === this.upstream || !isEsgzError(error) || !OUTAGES.has(error.code)) return;
    endpoint.avoidUntilMs = this.#context.clock.nowMs() + AVOID_MS;
  }

  /** The error for an answer that is no success; `action` is what was tried. */
  async failure(response: HttpResponse, action: string): Promise<EsgzError> {
    return await responseFailure(response, { action, nowWallMs: this.#context.clock.wallMs() });
  }
}
