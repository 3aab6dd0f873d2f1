/**
 * What requests do with images: find them, prepare them, fill them.
 *
 * @module
 */
import { Semaphore, systemClock } from "../async/index.ts";
import { type ErrorCode, EsgzError, isEsgzError } from "../errors/index.ts";
import { type ImageName, openImageSource, parseImageName } from "../image/index.ts";
import {
  hasStoredImage,
  openStoredImage,
  type PreparedImage,
  prepareImage,
  recordedName,
  recordImageName,
} from "../lazyfs/index.ts";
import { formatPlatform, normalizePlatform, parsePlatform, type Platform } from "../oci/index.ts";
import type { RegistryClient } from "../registry/index.ts";
import type { Layer, LayerLocation } from "../store/index.ts";
import type { ControlCall } from "./control-server.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import type {
  ImageRequest,
  LayerSummary,
  PullRequest,
  PullResult,
  RegistryAccess,
} from "./control-protocol.ts";
import { AnswerDeadline } from "./answer-deadline.ts";
import { hostPlatform } from "./host-platform.ts";
import { PreparationProgress } from "./preparation-progress.ts";
import { PROGRESS_MS, progressOfLayers } from "./fill-progress.ts";
import { FirstReads } from "./first-reads.ts";
import { CONNECTIONS_AHEAD } from "./registry-clients.ts";
import { saySilence } from "./say-silence.ts";
import type { Services } from "./services.ts";

/** What a request works in. */
export type Work = Pick<ControlCall, "emit" | "signal">;

/** What preparing an image works in. */
export interface PrepareWork extends Work {
  /** Told of what is there already, while the rest is being prepared. */
  readonly first?: Pick<FirstReads, "onEvent"> | undefined;
  /** How long a registry has to say what the name stands for, where the store has an image of that name. Default: for ever. */
  readonly answerMs?: number | undefined;
}

/** An image that is ready, and what that took. */
export interface ReadyImage extends AsyncDisposable {
  readonly image: PreparedImage;
  readonly layers: readonly LayerSummary[];
  readonly indexMs: number;
}

interface ClientOf {
  readonly access: RegistryAccess;
  readonly client: RegistryClient;
}

/** What is wrong with a registry that may be well later. */
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set([
  "NETWORK_FAILED",
  "REGISTRY_RATE_LIMITED",
  "REGISTRY_UNAVAILABLE",
  "TIMED_OUT",
]);
/** Nobody waited for a fetch for so long: the link is idle ... */
const QUIET_MS = 2000;
/** ... and after so long the background begins all the same. */
const LATEST_BACKGROUND_MS = 30_000;
/** Any number of preparations, but none while the store is pruned. */
const SHARES = 1024;

/** Brings images into the store. */
export class ImageWork {
  readonly #services: Services;
  readonly #gate = new Semaphore(SHARES);
  #fills = 0;

  constructor(services: Services) {
    this.#services = services;
  }

  /** Runs work while nothing is being prepared: half-made images are named by nothing. */
  async alone<T>(work: () => Promise<T>, options: { readonly signal: AbortSignal }): Promise<T> {
    return await this.#gate.run(work, { weight: SHARES, signal: options.signal });
  }

  /** Whether all of an image has yet to come from a registry, as far as its name tells. */
  isUnknown(reference: string): boolean {
    if (parseImageName(reference).kind !== "registry") return false;
    const name = recordedName(reference);
    return !this.#services.store.images().some((image) => image.name === name);
  }

  /**
   * Has the metadata of an image in the store: from its place, or from the store where that is what is asked for, or no
   * registry answers.
   *
   * @throws {EsgzError} as `prepareImage()`
   */
  async prepare(request: ImageRequest, work: PrepareWork): Promise<ReadyImage> {
    const beginMs = systemClock.nowMs();
    const before = this.#services.clients.traffic.bytes;
    const progress = new PreparationProgress(request.reference, { emit: work.emit, beginMs });
    const image = await this.#gate.run(async () => await this.#open(request, { ...work, progress }), {
      signal: work.signal,
    });
    const layers = image.layers.map((layer) => ({
      digest: layer.descriptor.digest,
      size: layer.descriptor.size,
      lazy: layer.lazy,
      present: layer.handle.layer.complete,
      ...(layer.reason === undefined ? {} : { reason: layer.reason }),
    }));
    progress.sayResolved(image.manifest, layers.length);
    sayOtherPlatform(request, image, work);
    for (const [index, layer] of layers.entries()) work.emit({ kind: "layer", index, layer });
    const indexMs = systemClock.nowMs() - beginMs;
    work.emit({ kind: "indexed", ms: indexMs, bytes: this.#services.clients.traffic.bytes - before });
    return { image, layers, indexMs, [Symbol.asyncDispose]: async () => await image.close() };
  }

  /** Fills the store with an image. @throws {EsgzError} as `prepareImage()` and `LayerFetcher.fill()` */
  async pull(request: PullRequest, work: Work): Promise<PullResult> {
    const beginMs = systemClock.nowMs();
    const before = this.#services.clients.traffic;
    const reading: Promise<void>[] = [];
    const first =
      request.lazy === true && request.prefetch === true
        ? new FirstReads({
            services: this.#services,
            prefetch: true,
            inBackground: (bringing) => void reading.push(bringing),
            signal: work.signal,
          })
        : undefined;
    await using ready = await this.prepare(request, { ...work, first });
    const { image, layers, indexMs } = ready;
    await using used = await this.#services.uses.use(layers.map(({ digest }) => digest));
    const handles = image.layers.map(({ handle }) => handle.layer);
    first?.addImage(ready);
    await Promise.all(reading);
    work.signal.throwIfAborted();
    if (request.lazy !== true) assertFits(image.name, used.layers, this.#services.config);
    const filled = request.lazy === true ? undefined : await this.#fill(used.layers, work);
    const after = this.#services.clients.traffic;
    return {
      name: image.name,
      manifest: image.manifest,
      layers: layers.map((layer, index) => ({ ...layer, present: handles[index]?.complete ?? false })),
      fetchedBytes: after.bytes - before.bytes,
      copiedBytes: filled?.copiedBytes ?? 0,
      requests: after.requests - before.requests,
      seconds: { index: indexMs / 1000, total: (systemClock.nowMs() - beginMs) / 1000 },
    };
  }

  /** Fills layers while the link is idle. Never throws: what cannot be fetched now is fetched when it is read. */
  async fillInBackground(layers: readonly Layer[], signal: AbortSignal): Promise<void> {
    const missing = layers.filter(({ complete }) => !complete);
    if (missing.length === 0) return;
    const { fetcher, log } = this.#services;
    try {
      await this.#untilQuiet(signal);
      const report = await this.#counted(() => fetcher.fill(missing, { priority: "background", signal }));
      log.info(report, "the rest of an image is here");
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "the background fill ended early");
    }
  }

  /** What has just been mounted is being started: processor and link are its own until it reads no more, for a while. */
  async #untilQuiet(signal: AbortSignal): Promise<void> {
    const endMs = systemClock.nowMs() + LATEST_BACKGROUND_MS;
    for (let seen = -1; systemClock.nowMs() < endMs;) {
      const { demandReads } = this.#services.fetcher.statistics();
      if (demandReads === seen) return;
      seen = demandReads;
      await systemClock.sleep(QUIET_MS, { signal });
    }
  }

  async #open(
    request: ImageRequest,
    work: PrepareWork & { readonly progress: PreparationProgress },
  ): Promise<PreparedImage> {
    const { store } = this.#services;
    const { signal, progress } = work;
    const name = parseImageName(request.reference);
    const platform = platformOf(request);
    const openStored = async (): Promise<PreparedImage | undefined> =>
      await openStoredImage(store, request.reference, { platform, signal, onEvent: progress.onEvent });
    const isPinned = name.kind === "registry" && name.reference.digest !== undefined;
    const known = request.resolve === "missing" || isPinned ? await openStored() : undefined;
    if (known !== undefined) return isPinned ? recordImageName(store, known, request.reference) : known;
    const mayWait = name.kind !== "registry" || !hasStoredImage(store, request.reference, platform);
    const answerMs = mayWait ? undefined : work.answerMs;
    const places = answerMs === undefined ? 0 : await this.#readPlaces(name, request);
    using deadline = new AnswerDeadline(request.reference, answerMs);
    try {
      return await this.#prepareFrom(name, { ...work, request, platform, deadline });
    } catch (error) {
      if (!isEsgzError(error) || !UNREACHABLE.has(error.code)) throw error;
      // A mirror that says nothing is not asked again at once: the next one, or the registry, has as long.
      if (deadline.signal.aborted && (await this.#readPlaces(name, request)) < places)
        return await this.#open(request, work);
      const stored = await openStored();
      if (stored === undefined && deadline.signal.aborted)
        return await this.#prepareFrom(name, { ...work, request, platform });
      if (stored === undefined) throw error;
      work.emit({ kind: "note", text: `${error.message}; this is the image that the store has` });
      return stored;
    }
  }

  /** How to reach the registry of a repository, and its client. */
  async #clientOf(repository: LayerLocation, request: ImageRequest): Promise<ClientOf> {
    const access = request.registry ?? this.#services.clients.accessOf(repository);
    return { access, client: await this.#services.clients.clientFor(access) };
  }

  async #readPlaces(name: ImageName, request: ImageRequest): Promise<number> {
    if (name.kind !== "registry") return 0;
    const { client } = await this.#clientOf(name.reference, request);
    return client.repository(name.reference).readPlaces;
  }

  async #prepareFrom(
    name: ImageName,
    {
      request,
      platform,
      signal,
      emit,
      progress,
      first,
      deadline,
    }: PrepareWork & {
      readonly request: ImageRequest;
      readonly platform: Platform;
      readonly progress: PreparationProgress;
      readonly deadline?: AnswerDeadline;
    },
  ): Promise<PreparedImage> {
    const { store, clients, preparation, log } = this.#services;
    const isUnknown = this.isUnknown(request.reference);
    if (isUnknown) preparation.warm();
    const repository = name.kind === "registry" ? name.reference : undefined;
    const reached = repository === undefined ? undefined : await this.#clientOf(repository, request);
    const either = deadline === undefined ? signal : AbortSignal.any([signal, deadline.signal]);
    await using source = await openImageSource(name, { registry: reached?.client, signal: either });
    if (isUnknown) source.repository?.connectAhead(CONNECTIONS_AHEAD);
    const received = (): number => clients.traffic.bytes;
    using _silence = repository && saySilence({ registry: repository.registry, received, emit });
    const image = await prepareImage(source, {
      store,
      threads: preparation,
      platform,
      name: request.reference,
      whole: "when-needed",
      signal: either,
      onEvent: (event) => {
        if (event.kind === "manifest") deadline?.met();
        if (event.kind === "layer-declined")
          log.info({ ...event, image: request.reference }, "a layer is not lazy");
        first?.onEvent(event);
        progress.onEvent(event);
      },
    });
    try {
      if (repository !== undefined && reached !== undefined) clients.remember(repository, reached.access);
      return image;
    } catch (error) {
      // Or its layers could not be pruned, where the disk is full.
      await image.close();
      throw error;
    }
  }

  async #fill(
    layers: readonly Layer[],
    { emit, signal }: Work,
  ): Promise<{ readonly copiedBytes: number } | undefined> {
    const missing = layers.filter(({ complete }) => !complete);
    if (missing.length === 0) return undefined;
    let saidMs = -Infinity;
    const say = (): void => {
      saidMs = systemClock.nowMs();
      emit(progressOfLayers(layers));
    };
    say();
    const onProgress = (): void => {
      if (systemClock.nowMs() - saidMs >= PROGRESS_MS) say();
    };
    const report = await this.#counted(() =>
      this.#services.fetcher.fill(missing, { priority: "pull", signal, onProgress }),
    );
    say();
    return report;
  }

  /** The index of chunks to copy takes memory: it is dropped after the last fill. */
  async #counted<T>(fill: () => Promise<T>): Promise<T> {
    this.#fills += 1;
    try {
      return await fill();
    } finally {
      this.#fills -= 1;
      if (this.#fills === 0) this.#services.store.dropChunkIndex();
    }
  }
}

function platformOf({ platform }: ImageRequest): Platform {
  return platform === undefined ? hostPlatform() : parsePlatform(platform);
}

/**
 * Who asks for all of an image learns at once that it does not fit.
 *
 * @throws {EsgzError} `NO_SPACE`
 */
function assertFits(
  name: string,
  layers: readonly Layer[],
  { quotaBytes }: Pick<DaemonConfig, "quotaBytes">,
): void {
  const bytes = layers.reduce((sum, { dataSize }) => sum + dataSize, 0);
  if (quotaBytes === undefined || bytes <= quotaBytes || layers.every(({ complete }) => complete)) return;
  throw new EsgzError(
    "NO_SPACE",
    `Cannot pull "${name}": expected layers within the quota of ${quotaBytes} bytes, got ${bytes} bytes; mounted or run without, what is read takes less`,
    { details: { quotaBytes, bytes } },
  );
}

/** A manifest without an index is all there is; who wants another platform should know what comes. */
function sayOtherPlatform(request: ImageRequest, image: PreparedImage, { emit }: Work): void {
  const wanted = platformOf(request);
  const found = normalizePlatform(image.platform);
  if (wanted.os === found.os && wanted.architecture === found.architecture) return;
  const text = `the image is for ${formatPlatform(found)}, not for ${formatPlatform(wanted)}: it has no index to choose from`;
  emit({ kind: "note", text });
}

/** A name that only this machine understands must not be resolved against the daemon's own directory. */
export function assertAbsolute(reference: string): void {
  const name = parseImageName(reference);
  const path = name.kind === "docker-archive" ? name.file : name.kind === "registry" ? "/" : name.directory;
  if (path.startsWith("/")) return;
  throw new EsgzError(
    "REFERENCE_INVALID",
    `Cannot open image "${reference}": expected an absolute path, got "${path}"`,
  );
}
