/**
 * Asks the host for a layer, and never for long.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { messageOf } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { RemoteLayers, RemoteRequest } from "./remote-layers.ts";
import { parseRemoteRequest, type VerificationPolicy } from "./remote-request.ts";
import type { Labels, RemoteOrigin } from "./snapshot.ts";

/** A layer that can be mounted, or why it cannot. */
export type PreparerAnswer =
  | {
      readonly origin: RemoteOrigin;
      /** Layers of the same image that the client will ask for next, as far as it told. */
      readonly others: readonly Digest[];
    }
  | { readonly reason: string; readonly reference?: string; readonly digest?: Digest };

/** With what a preparer works. */
export interface RemotePreparerOptions {
  readonly remote: RemoteLayers | undefined;
  readonly policy: VerificationPolicy;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** Why nobody waits any more: made once, for an error of its own for each call is what the call would mostly cost. */
const DONE = new Error("done");

/** Turns labels into layers that are ready; whatever goes wrong is a reason, never an error. */
export class RemotePreparer {
  readonly #options: RemotePreparerOptions;

  constructor(options: RemotePreparerOptions) {
    this.#options = options;
  }

  /** For a Prepare call with these labels. */
  async prepare(labels: Labels): Promise<PreparerAnswer> {
    const { remote, policy } = this.#options;
    if (remote === undefined) return { reason: "remote layers are not enabled" };
    const parsed = parseRemoteRequest(labels, policy);
    return "reason" in parsed ? parsed : await this.#ask(remote, parsed.request);
  }

  /** Once more, for a layer that the host does not have any more. */
  async prepareAgain(origin: RemoteOrigin, labels: Labels): Promise<PreparerAnswer> {
    const { remote } = this.#options;
    if (remote === undefined) return { reason: "remote layers are not enabled" };
    return await this.#ask(remote, { ...origin, imageLayers: [origin.digest], tocPlaces: new Map(), labels });
  }

  async #ask(remote: RemoteLayers, request: Omit<RemoteRequest, "signal">): Promise<PreparerAnswer> {
    const { digest, reference } = request;
    try {
      const answer = await this.inTime((signal) => remote.prepare({ ...request, signal }));
      if (answer.kind === "declined") return { reason: answer.reason, reference, digest };
      const others = request.imageLayers.filter((other) => other !== digest);
      return { origin: originOf(request, answer), others };
    } catch (error) {
      return { reason: messageOf(error), reference, digest };
    }
  }

  /**
   * Runs work of the host, for as long as a layer may take. A host that does not listen to its signal must not keep a client
   * waiting.
   *
   * @throws what the work throws, or an error that says that it took too long.
   */
  async inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, timeoutMs } = this.#options;
    const limit = new AbortController();
    const done = new AbortController();
    const late = clock.sleep(timeoutMs, { signal: done.signal }).then(() => {
      const error = new Error(`expected an answer within ${timeoutMs} ms, got none`);
      limit.abort(error);
      throw error;
    });
    // It also rejects when the work was done in time.
    late.catch(() => undefined);
    try {
      return await Promise.race([work(limit.signal), late]);
    } finally {
      done.abort(DONE);
    }
  }
}

/** What the layer turned out to be is what it has to be from now on. */
function originOf(
  request: Omit<RemoteRequest, "signal">,
  { owner, tocDigest = request.tocDigest }: Pick<RemoteOrigin, "owner" | "tocDigest">,
): RemoteOrigin {
  const { digest, manifest, reference, skipVerify } = request;
  return {
    digest,
    reference,
    skipVerify,
    ...(tocDigest === undefined ? {} : { tocDigest }),
    ...(manifest === undefined ? {} : { manifest }),
    ...(owner === undefined ? {} : { owner }),
  };
}
