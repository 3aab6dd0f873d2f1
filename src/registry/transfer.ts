/**
 * One long read through failures: the same endpoint again, then the next one.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import type { Endpoint } from "./endpoint.ts";
import type { RegistryHost } from "./registry-host.ts";
import type { RetryBudget } from "./retry-budget.ts";

/** Where a read stands with the endpoints of a registry. What has arrived is the caller's to know. */
export class Transfer {
  readonly #host: RegistryHost;
  readonly #signal: AbortSignal | undefined;
  readonly #endpoints: readonly Endpoint[];
  #index = 0;
  #budget: RetryBudget | undefined;

  constructor(host: RegistryHost, signal: AbortSignal | undefined) {
    this.#host = host;
    this.#signal = signal;
    this.#endpoints = host.readOrder();
  }

  /** The endpoint to ask now. */
  get endpoint(): Endpoint {
    const endpoint = this.#endpoints[this.#index] ?? this.#host.upstream;
    this.#budget ??= this.#host.budgetFor(endpoint);
    return endpoint;
  }

  /** Notes bytes that arrived. */
  progress(bytes: number): void {
    this.#budget?.progress(bytes);
  }

  /** Waits until it makes sense to go on, perhaps at another endpoint; throws what ended the read otherwise. */
  async failed(error: unknown): Promise<void> {
    this.#signal?.throwIfAborted();
    const { endpoint } = this;
    try {
      await this.#budget?.pauseAfter(error, this.#signal);
    } catch (final) {
      this.#signal?.throwIfAborted();
      if (endpoint === this.#host.upstream || !isEsgzError(final)) throw final;
      this.#host.noteFailure(endpoint, final);
      this.#index += 1;
      this.#budget = undefined;
    }
  }
}
