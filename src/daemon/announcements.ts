/**
 * Images that somebody will ask for in a moment: they are prepared meanwhile.
 *
 * A command line takes some time to load, and more to check what it was told. It says first which image it will run, so that
 * the image's manifest and tables of contents are on their way by then.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { ImageEvent, ImageObserver } from "../lazyfs/index.ts";
import type { ControlEvent, ImageRequest } from "./control-protocol.ts";
import type { PrepareWork, ReadyImage } from "./image-work.ts";

/** Prepares an image, as `ImageWork.prepare()`. */
type Prepare = (request: ImageRequest, work: PrepareWork) => Promise<ReadyImage>;

/** What was announced and not asked for yet. */
export class Announcements {
  readonly #prepare: Prepare;
  readonly #waiting = new Map<string, Announcement[]>();

  /** @param prepare prepares images */
  constructor(prepare: Prepare) {
    this.#prepare = prepare;
  }

  /**
   * Prepares an image until somebody asks for it, which resolves this, or `signal` is aborted: nobody will. Never fails; who asks
   * learns what went wrong.
   */
  async announce(request: ImageRequest, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (signal.aborted) return;
    const key = keyOf(request);
    const announcement = new Announcement(request, this.#prepare);
    this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), announcement]);
    const gone = Promise.withResolvers<void>();
    const leave = (): void => gone.resolve();
    signal.addEventListener("abort", leave, { once: true });
    await Promise.race([announcement.taken, gone.promise]);
    signal.removeEventListener("abort", leave);
    if (this.#remove(key, announcement)) await announcement.drop();
  }

  /** Gives what was announced for a request, if anything was, to one who asks. */
  take(request: ImageRequest): Announcement | undefined {
    const key = keyOf(request);
    const [first] = this.#waiting.get(key) ?? [];
    if (first !== undefined) this.#remove(key, first);
    return first;
  }

  #remove(key: string, announcement: Announcement): boolean {
    const waiting = this.#waiting.get(key) ?? [];
    const left = waiting.filter((other) => other !== announcement);
    if (left.length === 0) this.#waiting.delete(key);
    else this.#waiting.set(key, left);
    return left.length < waiting.length;
  }
}

/** One image that is being prepared for somebody who has not asked yet. */
export class Announcement {
  readonly #ending = new AbortController();
  readonly #taken = Promise.withResolvers<void>();
  readonly #ready: Promise<ReadyImage>;
  /** What there was to tell. How far something is will be told again. */
  readonly #events: ControlEvent[] = [];
  readonly #imageEvents: ImageEvent[] = [];
  #emit: (event: ControlEvent) => void = (event) =>
    void (event.kind !== "progress" && this.#events.push(event));
  #onEvent: ImageObserver = (event) =>
    void (event.kind !== "layer-progress" && this.#imageEvents.push(event));

  constructor(request: ImageRequest, prepare: Prepare) {
    this.#ready = prepare(request, {
      signal: this.#ending.signal,
      emit: (event) => this.#emit(event),
      first: { onEvent: (event) => this.#onEvent(event) },
    });
    // Who asks learns it.
    this.#ready.catch(() => undefined);
  }

  /** Resolves when somebody has asked for it. */
  get taken(): Promise<void> {
    return this.#taken.promise;
  }

  /** The image, for one who asks for it: told of what happened, and of what happens. @throws {EsgzError} as `prepareImage()` */
  async join({ emit, first, signal }: PrepareWork): Promise<ReadyImage> {
    this.#taken.resolve();
    this.#emit = emit;
    this.#onEvent = (event) => first?.onEvent(event);
    for (const event of this.#events.splice(0)) emit(event);
    for (const event of this.#imageEvents.splice(0)) this.#onEvent(event);
    const end = (): void => this.#ending.abort(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    try {
      return await this.#ready;
    } finally {
      signal.removeEventListener("abort", end);
    }
  }

  /** Nobody will ask. */
  async drop(): Promise<void> {
    this.#ending.abort(new EsgzError("ABORTED", "Cannot prepare image: who announced it has left"));
    const ready = await this.#ready.catch(() => undefined);
    await ready?.[Symbol.asyncDispose]();
  }
}

/** Requests for the same image, reached the same way. */
function keyOf({ reference, platform, registry, resolve }: ImageRequest): string {
  return JSON.stringify([reference, platform, registry, resolve]);
}
