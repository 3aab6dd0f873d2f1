/**
 * What requests do with images: find them, prepare them, fill them.
 *
 * @module
 */
import { Semaphore, systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { parseImageName } from "../image/index.ts";
import type { PreparedImage } from "../lazyfs/index.ts";
import { formatPlatform, normalizePlatform } from "../oci/index.ts";
import type { Layer } from "../store/index.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import type { ImageRequest, LayerSummary, PullRequest, PullResult } from "./control-protocol.ts";
import { ImageOpener, type OpenWork, platformOf, type PrepareWork, type Work } from "./image-opener.ts";
import { PreparationProgress } from "./preparation-progress.ts";
import { PROGRESS_MS, progressOfLayers } from "./fill-progress.ts";
import { FirstReads } from "./first-reads.ts";
import type { Services } from "./services.ts";

/** An image that is ready, and what that took. */
export interface ReadyImage extends AsyncDisposable {
  readonly image: PreparedImage;
  readonly layers: readonly LayerSummary[];
  readonly indexMs: number;
}

/** Nobody waited for a fetch for so long: the link is idle ... */
const QUIET_MS = 2000;
/** ... and after so long the background begins all the same. */
const LATEST_BACKGROUND_MS = 30_000;
/** Who starts what the store has already waits no longer for a registry, before that is started. Docker does not ask at all. */
const ANSWER_MS = 5000;
/** Any number of preparations, but none while the store is pruned. */
const SHARES = 1024;

/** Brings images into the store. */
export class ImageWork {
  readonly #services: Services;
  readonly #opener: ImageOpener;
  readonly #gate = new Semaphore(SHARES);
  #fills = 0;

  constructor(services: Services) {
    this.#services = services;
    this.#opener = new ImageOpener(services);
  }

  /** Runs work while nothing is being prepared: half-made images are named by nothing. */
  async alone<T>(work: () => Promise<T>, options: { readonly signal: AbortSignal }): Promise<T> {
    return await this.#gate.run(work, { weight: SHARES, signal: options.signal });
  }

  /** Whether all of an image has yet to come from a registry, as far as its name tells. */
  isUnknown(reference: string): boolean {
    return this.#opener.isUnknown(reference);
  }

  /**
   * Has the metadata of an image in the store, for who starts it: from its place, or from the store where that is what is asked
   * for, or no registry answers soon.
   *
   * @throws {EsgzError} as `prepareImage()`
   */
  async prepare(request: ImageRequest, work: PrepareWork): Promise<ReadyImage> {
    return await this.#prepare(request, { ...work, answerMs: ANSWER_MS });
  }

  async #prepare(request: ImageRequest, work: PrepareWork & Pick<OpenWork, "answerMs">): Promise<ReadyImage> {
    const beginMs = systemClock.nowMs();
    const before = this.#services.clients.traffic.bytes;
    const progress = new PreparationProgress(request.reference, { emit: work.emit, beginMs });
    const image = await this.#gate.run(async () => await this.#opener.open(request, { ...work, progress }), {
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
    await using ready = await this.#prepare(request, { ...work, first });
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
