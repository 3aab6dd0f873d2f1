/**
 * An image from the place that its name says, or from the store.
 *
 * @module
 */
import { type ErrorCode, isEsgzError } from "../errors/index.ts";
import { type ImageName, openImageSource, parseImageName } from "../image/index.ts";
import {
  hasStoredImage,
  openStoredImage,
  type PreparedImage,
  prepareImage,
  recordedName,
  recordImageName,
} from "../lazyfs/index.ts";
import { parsePlatform, type Platform } from "../oci/index.ts";
import type { RegistryClient, Repository } from "../registry/index.ts";
import { AnswerDeadline } from "./answer-deadline.ts";
import type { ControlCall } from "./control-server.ts";
import type { ImageRequest, RegistryAccess } from "./control-protocol.ts";
import type { FirstReads } from "./first-reads.ts";
import { hostPlatform } from "./host-platform.ts";
import type { PreparationProgress } from "./preparation-progress.ts";
import { CONNECTIONS_AHEAD } from "./registry-clients.ts";
import { saySilence } from "./say-silence.ts";
import type { Services } from "./services.ts";

/** What a request works in. */
export type Work = Pick<ControlCall, "emit" | "signal">;

/** What preparing an image works in. */
export interface PrepareWork extends Work {
  /** Told of what is there already, while the rest is being prepared. */
  readonly first?: Pick<FirstReads, "onEvent"> | undefined;
}

/** What opening an image works in. */
export interface OpenWork extends PrepareWork {
  readonly progress: PreparationProgress;
  /** How long a registry has to say what the name stands for, where the store has an image of that name. Default: for ever. */
  readonly answerMs?: number | undefined;
}

/** What an image is opened with. */
type OpenerServices = Pick<Services, "store" | "clients" | "preparation" | "log">;

/** A repository, and how it is reached. */
interface Reached {
  readonly access: RegistryAccess;
  readonly client: RegistryClient;
  readonly repository: Repository;
}

/** Where an image is to come from. */
interface Place {
  readonly name: ImageName;
  /** None where the image lies on this machine. */
  readonly reached: Reached | undefined;
  readonly isUnknown: boolean;
  readonly deadline: AnswerDeadline;
}

/** What is wrong with a registry that may be well later. */
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set([
  "NETWORK_FAILED",
  "REGISTRY_RATE_LIMITED",
  "REGISTRY_UNAVAILABLE",
  "TIMED_OUT",
]);

/** Decides where an image is taken from, and has its metadata in the store. */
export class ImageOpener {
  readonly #services: OpenerServices;

  constructor(services: OpenerServices) {
    this.#services = services;
  }

  /** Whether all of an image has yet to come from a registry, as far as its name tells. */
  isUnknown(reference: string): boolean {
    if (parseImageName(reference).kind !== "registry") return false;
    const name = recordedName(reference);
    return !this.#services.store.images().some((image) => image.name === name);
  }

  /** @throws {EsgzError} as `prepareImage()` */
  async open(request: ImageRequest, work: OpenWork): Promise<PreparedImage> {
    const { store, preparation } = this.#services;
    const { signal, progress } = work;
    const name = parseImageName(request.reference);
    const platform = platformOf(request);
    const openStored = async (): Promise<PreparedImage | undefined> =>
      await openStoredImage(store, request.reference, { platform, signal, onEvent: progress.onEvent });
    const isPinned = name.kind === "registry" && name.reference.digest !== undefined;
    const known = request.resolve === "missing" || isPinned ? await openStored() : undefined;
    if (known !== undefined) return isPinned ? recordImageName(store, known, request.reference) : known;
    const isUnknown = this.isUnknown(request.reference);
    if (isUnknown) preparation.warm();
    const reached = await this.#reach(name, request);
    const places = reached?.repository.readPlaces ?? 0;
    const isBounded = reached !== undefined && hasStoredImage(store, request.reference, platform);
    using deadline = new AnswerDeadline(request.reference, isBounded ? work.answerMs : undefined);
    try {
      return await this.#prepareFrom({ name, reached, isUnknown, deadline }, { ...work, request, platform });
    } catch (error) {
      if (!isEsgzError(error) || !UNREACHABLE.has(error.code)) throw error;
      const isLate = deadline.signal.aborted;
      // A mirror that says nothing is not asked again at once: the next one, or the registry, has as long.
      if (isLate && (reached?.repository.readPlaces ?? 0) < places) return await this.open(request, work);
      const stored = await openStored();
      if (stored === undefined && isLate) return await this.open(request, { ...work, answerMs: undefined });
      if (stored === undefined) throw error;
      work.emit({ kind: "note", text: `${error.message}; this is the image that the store has` });
      return stored;
    }
  }

  async #reach(name: ImageName, request: ImageRequest): Promise<Reached | undefined> {
    if (name.kind !== "registry") return undefined;
    const { clients } = this.#services;
    const access = request.registry ?? clients.accessOf(name.reference);
    const client = await clients.clientFor(access);
    return { access, client, repository: client.repository(name.reference) };
  }

  async #prepareFrom(
    { name, reached, isUnknown, deadline }: Place,
    {
      request,
      platform,
      signal,
      emit,
      progress,
      first,
    }: OpenWork & { readonly request: ImageRequest; readonly platform: Platform },
  ): Promise<PreparedImage> {
    const { store, clients, preparation, log } = this.#services;
    const either = AbortSignal.any([signal, deadline.signal]);
    await using source = await openImageSource(name, { registry: reached?.client, signal: either });
    if (isUnknown) source.repository?.connectAhead(CONNECTIONS_AHEAD);
    const received = (): number => clients.traffic.bytes;
    using _silence = reached && saySilence({ registry: reached.repository.registry, received, emit });
    const image = await prepareImage(source, {
      store,
      threads: preparation,
      platform,
      name: request.reference,
      whole: "when-needed",
      signal: either,
      onEvent: (event) => {
        if (event.kind === "manifest") deadline.met();
        if (event.kind === "layer-declined")
          log.info({ ...event, image: request.reference }, "a layer is not lazy");
        first?.onEvent(event);
        progress.onEvent(event);
      },
    });
    try {
      if (reached !== undefined) clients.remember(reached.repository, reached.access);
      return image;
    } catch (error) {
      // Or its layers could not be pruned, where the disk is full.
      await image.close();
      throw error;
    }
  }
}

/** The platform that is wanted. @throws {EsgzError} `USAGE_INVALID` */
export function platformOf({ platform }: ImageRequest): Platform {
  return platform === undefined ? hostPlatform() : parsePlatform(platform);
}
