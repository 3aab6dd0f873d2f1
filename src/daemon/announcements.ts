/**
 * Images that somebody will ask for in a moment: they are prepared meanwhile.
 *
 * A command line takes some time to load, and more to check what it was told. It says first which image it will run, so that
 * the image's manifest and tables of contents are on their way by then.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { ImageEvent, ImageObserver } from "../lazyfs/index.ts";
import type { AnnounceRequest, ControlEvent, ImageRequest, MountRequest } from "./control-protocol.ts";
import type { PrepareWork } from "./image-opener.ts";
import type { ReadyImage } from "./image-work.ts";

/** Prepares an image, as `ImageWork.prepare()`. */
type Prepare = (request: ImageRequest, work: PrepareWork) => Promise<ReadyImage>;

/** Loading a command line takes a hundredth of this; what was resolved so long ago may be another image by now. */
const KEPT_MS = 5000;

/** What was announced and not asked for yet. */
export class Announcements {
  readonly #prepare: Prepare;
  readonly #clock: Clock;
  readonly #waiting = new Map<string, Announcement>();
  readonly #ending = new AbortController();

  /** @param prepare prepares images */
  constructor(prepare: Prepare, clock: Clock) {
    this.#prepare = prepare;
    this.#clock = clock;
  }

  /**
   * Prepares an image until its announcer asks for it, leaves (`signal`), or has not come for some seconds. Resolves then; never
   * fails. Who asks learns what went wrong.
   */
  async announce(request: AnnounceRequest, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const key = keyOf(request);
    const ending = this.#ending.signal;
    if (signal.aborted || ending.aborted || this.#waiting.has(key)) return;
    const announcement = new Announcement(request, this.#prepare);
    this.#waiting.set(key, announcement);
    const over = AbortSignal.any([signal, ending, announcement.taken]);
    await this.#clock.sleep(KEPT_MS, { signal: over }).catch(() => undefined);
    if (this.#waiting.get(key) !== announcement) return;
    this.#waiting.delete(key);
    await announcement.drop();
  }

  /** Gives what the process that asks has announced, if it has: the same image, reached the same way. */
  take(request: MountRequest): Announcement | undefined {
    const key = keyOf(request);
    const found = this.#waiting.get(key);
    this.#waiting.delete(key);
    return found;
  }

  /** Drops all that was announced, and what will be. */
  end(): void {
    this.#ending.abort();
  }
}

/** One image that is being prepared for somebody who has not asked yet. */
export class Announcement {
  readonly #ending = new AbortController();
  readonly #taken = new AbortController();
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

  /** Aborted when somebody has asked for it. */
  get taken(): AbortSignal {
    return this.#taken.signal;
  }

  /** The image, for one who asks for it: told of what happened, and of what happens. @throws {EsgzError} as `prepareImage()` */
  async join({ emit, first, signal }: PrepareWork): Promise<ReadyImage> {
    this.#taken.abort();
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

function keyOf({ ownerPid, reference, platform, registry, resolve }: MountRequest): string {
  return JSON.stringify([ownerPid, reference, platform, registry, resolve]);
}
