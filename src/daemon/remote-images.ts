/**
 * The images whose layers are being asked for: each is resolved once, and remembered for a while.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { openImageSource } from "../image/index.ts";
import type { PreparationThreads, ToldLayers } from "../lazyfs/index.ts";
import { type Digest, type ImageReference, parseReference } from "../oci/index.ts";
import { hostPlatform } from "./host-platform.ts";
import { CONNECTIONS_AHEAD, type RegistryClients } from "./registry-clients.ts";
import { RemoteImage, type RemoteLayer } from "./remote-image.ts";
import type { Store } from "../store/index.ts";

/** Which layer of which image. */
export interface RemoteLayerRequest extends ToldLayers {
  readonly reference: string;
  readonly manifest?: Digest | undefined;
  readonly skipVerify: boolean;
}

/** With what images are resolved. */
export interface RemoteImagesOptions {
  readonly store: Store;
  readonly clients: RegistryClients;
  /** Who makes layers. */
  readonly preparation: PreparationThreads;
  /** Told of an image when its manifest is there. It must not throw. */
  readonly onResolved: (image: RemoteImage) => void;
}

interface KnownImage {
  readonly image: Promise<RemoteImage>;
  readonly ending: AbortController;
  readonly beganMs: number;
  askedMs: number;
  /** Requests under way. */
  waiting: number;
  hasFailed: boolean;
  timer: NodeJS.Timeout | undefined;
}

/** A client asks for the layers of an image one after the other. */
const KEPT_MS = 120_000;
/** A registry that does not answer is not asked again for each layer. */
const FAILURE_KEPT_MS = 3000;
/** A tag may name another image by now. */
const FRESH_MS = 1000;

/** Resolves images, each once. */
export class RemoteImages implements AsyncDisposable {
  readonly #options: RemoteImagesOptions;
  readonly #images = new Map<string, KnownImage>();

  constructor(options: RemoteImagesOptions) {
    this.#options = options;
  }

  /** A layer of an image; all others begin to be opened with it. @throws {EsgzError} codes of the medium. */
  async layer(request: RemoteLayerRequest): Promise<RemoteLayer> {
    const reference = pinned(request);
    const key = `${JSON.stringify(reference)} ${request.skipVerify}`;
    const known = this.#images.get(key) ?? this.#begin(key, { reference, request });
    known.askedMs = systemClock.nowMs();
    if (!known.hasFailed) this.#keep(key, known, KEPT_MS);
    known.waiting += 1;
    try {
      const isFixed = reference.digest !== undefined;
      const found = await this.#find(known, { request, isFixed });
      if (found !== undefined) return found;
    } finally {
      known.waiting -= 1;
      known.askedMs = systemClock.nowMs();
    }
    this.#forget(key, known);
    return await this.layer(request);
  }

  /** A layer of an image; undefined if its tag may name another image by now, which has it. */
  async #find(
    { beganMs, image: opening }: KnownImage,
    { request, isFixed }: { readonly request: RemoteLayerRequest; readonly isFixed: boolean },
  ): Promise<RemoteLayer | undefined> {
    const image = await opening;
    const found = image.layer(request.digest);
    if (found !== undefined) return agreed(await found, request);
    const isFresh = isFixed || systemClock.nowMs() - beganMs <= FRESH_MS;
    if (!isFresh && !image.hasOthers) return undefined;
    const { digest, tocDigest } = request;
    if (tocDigest !== undefined) return await image.otherLayer({ digest, tocDigest });
    return { kind: "declined", reason: `"${request.reference}" has no such layer any more` };
  }

  /**
   * Gives back the layers of images that nobody waits for, or has asked for in the last `ms`; resolves with the number of other
   * images.
   */
  async forgetIdle(ms: number): Promise<number> {
    const nowMs = systemClock.nowMs();
    await this.#forgetAll(
      [...this.#images].filter(([, { askedMs, waiting }]) => waiting === 0 && nowMs - askedMs >= ms),
    );
    return this.#images.size;
  }

  /** Gives back all layers; who waits for one is told that it cannot be had. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forgetAll([...this.#images]);
  }

  async #forgetAll(images: readonly (readonly [string, KnownImage])[]): Promise<void> {
    for (const [key, known] of images) this.#forget(key, known);
    await Promise.allSettled(images.map(async ([, { image }]) => (await image)[Symbol.asyncDispose]()));
  }

  #begin(
    key: string,
    { reference, request }: { readonly reference: ImageReference; readonly request: RemoteLayerRequest },
  ): KnownImage {
    const ending = new AbortController();
    const image = this.#open(reference, { request, signal: ending.signal });
    const beganMs = systemClock.nowMs();
    const known: KnownImage = {
      image,
      ending,
      beganMs,
      askedMs: beganMs,
      waiting: 0,
      hasFailed: false,
      timer: undefined,
    };
    this.#images.set(key, known);
    image.then(this.#options.onResolved, () => {
      known.hasFailed = true;
      this.#keep(key, known, FAILURE_KEPT_MS);
    });
    return known;
  }

  async #open(
    reference: ImageReference,
    { request, signal }: { readonly request: RemoteLayerRequest; readonly signal: AbortSignal },
  ): Promise<RemoteImage> {
    const { store, clients, preparation: threads } = this.#options;
    threads.warm();
    const registry = await clients.clientFor(clients.accessOf(reference));
    const source = await openImageSource({ kind: "registry", reference }, { registry, signal });
    source.repository?.connectAhead(CONNECTIONS_AHEAD);
    const { digest, tocDigest, tocPlaces, skipVerify } = request;
    const verification = skipVerify ? "computed" : "required";
    const options = {
      store,
      threads,
      source,
      asked: { digest, tocDigest, tocPlaces },
      verification,
      signal,
      platform: hostPlatform(),
    } as const;
    return await RemoteImage.open({ ...options, manifestIsOptional: tocDigest !== undefined });
  }

  #keep(key: string, known: KnownImage, ms: number): void {
    clearTimeout(known.timer);
    known.timer = setTimeout(() => {
      if (known.waiting === 0) this.#forget(key, known);
      else this.#keep(key, known, ms);
    }, ms);
    known.timer.unref();
  }

  #forget(key: string, known: KnownImage): void {
    clearTimeout(known.timer);
    if (this.#images.get(key) !== known) return;
    this.#images.delete(key);
    known.ending.abort(new EsgzError("ABORTED", "Cannot resolve image: nobody waits for it any more"));
    known.image.then(
      (image) => image[Symbol.asyncDispose](),
      () => undefined,
    );
  }
}

/** What the client has checked counts: whoever may set a tag may not choose what its layers show. */
function agreed(found: RemoteLayer, request: RemoteLayerRequest): RemoteLayer {
  const { reference, skipVerify, tocDigest } = request;
  if (found.kind === "declined" || !found.lazy || tocDigest === undefined || skipVerify) return found;
  if (found.handle.layer.source.tocDigest === tocDigest) return found;
  const reason = `the manifest of "${reference}" names another table of contents than the client's`;
  return { kind: "declined", reason };
}

/** By digest where the client told one: a tag may move. */
function pinned({ manifest, reference }: RemoteLayerRequest): ImageReference {
  const parsed = parseReference(reference);
  return manifest === undefined ? parsed : { ...parsed, digest: manifest };
}
