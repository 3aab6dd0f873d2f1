/**
 * The images whose layers are being asked for: each is resolved once, and remembered for a while.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { openImageSource } from "../image/index.ts";
import type { PreparationThreads } from "../lazyfs/index.ts";
import { type Digest, type ImageReference, parseReference } from "../oci/index.ts";
import { hostPlatform } from "./host-platform.ts";
import type { RegistryClients } from "./registry-clients.ts";
import { RemoteImage, type RemoteLayer } from "./remote-image.ts";
import type { Store } from "../store/index.ts";

/** Which layer of which image. */
export interface RemoteLayerRequest {
  readonly reference: string;
  readonly digest: Digest;
  /** The layer's table of contents, as the client has it from a manifest that it checked. */
  readonly tocDigest?: Digest | undefined;
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
    const image = await known.image;
    const found = image.layer(request.digest);
    if (found !== undefined) return agreed(await found, request);
    const isFresh = reference.digest !== undefined || systemClock.nowMs() - known.beganMs <= FRESH_MS;
    if (!isFresh && !image.hasOthers) {
      this.#forget(key, known);
      return await this.layer(request);
    }
    const { digest, tocDigest } = request;
    if (tocDigest !== undefined) return await image.otherLayer({ digest, tocDigest });
    return { kind: "declined", reason: `"${request.reference}" has no such layer any more` };
  }

  /** Gives back the layers of images that nobody has asked for in the last `ms`; resolves with the number of other images. */
  async forgetIdle(ms: number): Promise<number> {
    const nowMs = systemClock.nowMs();
    const idle = [...this.#images].filter(([, { askedMs }]) => nowMs - askedMs >= ms);
    for (const [key, known] of idle) this.#forget(key, known);
    await Promise.allSettled(idle.map(async ([, { image }]) => (await image)[Symbol.asyncDispose]()));
    return this.#images.size;
  }

  /** Gives back all layers. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.forgetIdle(0);
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
    const { digest, skipVerify } = request;
    const verification = skipVerify ? "computed" : "required";
    const isKnown = request.tocDigest !== undefined;
    const options = {
      store,
      threads,
      source,
      digest,
      verification,
      signal,
      platform: hostPlatform(),
    } as const;
    return await RemoteImage.open({ ...options, manifestIsOptional: isKnown });
  }

  #keep(key: string, known: KnownImage, ms: number): void {
    clearTimeout(known.timer);
    known.timer = setTimeout(() => this.#forget(key, known), ms);
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
