/**
 * What requests do with mounts, and what mounts need while they stand: their owners are watched, their images filled.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { isRunning, processOf } from "../files/index.ts";
import type { MountRecord, RestoreReport } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type { Layer, LayerHandle } from "../store/index.ts";
import { Announcements } from "./announcements.ts";
import { assertMountable } from "./assert-mountable.ts";
import type { AnnounceRequest, MountRequest, MountResult, MountStatus } from "./control-protocol.ts";
import { endMounts, isLayer, type MountsToEnd } from "./end-mounts.ts";
import { FirstReads, isIncomplete } from "./first-reads.ts";
import { HeldMounts } from "./held-mounts.ts";
import type { Work } from "./image-opener.ts";
import type { ImageWork, ReadyImage } from "./image-work.ts";
import { placeForChanges } from "./kept-changes.ts";
import { MountExtras, type MountExtra } from "./mount-extras.ts";
import { mountResult } from "./mount-result.ts";
import { MountRoots } from "./mount-roots.ts";
import { mountStatus } from "./mount-status.ts";
import { type OrphanMount, OwnerWatch } from "./owner-watch.ts";
import type { Services } from "./services.ts";

/** Makes, lists and ends mounts. */
export class MountWork implements AsyncDisposable {
  readonly #services: Services;
  readonly #images: ImageWork;
  readonly #announcements: Announcements;
  readonly #extras: MountExtras;
  readonly #roots: MountRoots;
  readonly #ending = new AbortController();
  readonly #held: HeldMounts;
  readonly #background = new Set<Promise<void>>();
  readonly #owners: OwnerWatch;
  readonly #engines: (() => ReadonlySet<string>)[] = [];

  constructor(services: Services, images: ImageWork) {
    this.#services = services;
    this.#images = images;
    this.#announcements = new Announcements((request, work) => images.prepare(request, work), systemClock);
    this.#extras = new MountExtras(services.store);
    this.#roots = new MountRoots(services.start.settings.store);
    this.#held = new HeldMounts({
      uses: services.uses,
      isThere: (id) => this.#isThere(id),
      fill: (id, layers, signal) => this.#fill(id, layers, signal),
    });
    this.#owners = new OwnerWatch(this.#extras, (orphan) => this.#inBackground(this.#drop(orphan)));
  }

  /** Asks an engine for the ids of the layers that containers may look at: it does not say when they do. */
  addEngine(used: () => ReadonlySet<string>): void {
    this.#engines.push(used);
  }

  /** Whether a mount stands that has to be served, or watched. */
  get isNeeded(): boolean {
    return this.#services.views
      .mounts()
      .some(({ id, method }) => method !== "local" || this.#extras.get(id).owner !== undefined);
  }

  /** Goes on with what the server before did for the mounts that stand. */
  async resume({ failed }: Pick<RestoreReport, "failed">): Promise<void> {
    const mounts = this.#services.views.mounts();
    this.#extras.keepOnly(new Set([...mounts, ...failed].map(({ id }) => id)));
    this.#owners.watch();
    for (const mount of mounts) {
      try {
        await this.#hold(mount);
      } catch (error) {
        // Its readers get errors for what is damaged; those of others are not to suffer.
        this.#services.log.error({ id: mount.id, err: error }, "cannot use the layers of a mount");
      }
    }
  }

  /** Gets ready to mount an image for a process that will ask for it. As `Announcements.announce()`. */
  async announce(request: AnnounceRequest, { signal }: Pick<Work, "signal">): Promise<void> {
    if (this.#images.isUnknown(request.reference)) this.#firstReads({ prefetch: false }).warm();
    await this.#announcements.announce(request, { signal });
  }

  /** Waits for nobody who announced a mount any more. */
  endAnnouncements(): void {
    this.#announcements.end();
  }

  /** Mounts an image. @throws {EsgzError} as `ImageWork.prepare()` and `LayerViews.mountImage()` */
  async mount(request: MountRequest, work: Work): Promise<MountResult> {
    const beginMs = systemClock.nowMs();
    const { settings } = this.#services.start;
    if (request.directory !== undefined) await assertMountable(request.directory, settings.store);
    const extra = this.#extraOf(request);
    const first = this.#firstReads(request);
    // Layers that are complete need no connection: where there may be some, the first that is not makes it.
    if (this.#images.isUnknown(request.reference)) first.warm();
    const announced = this.#announcements.take(request);
    await using ready = await (announced?.join({ ...work, first }) ??
      this.#images.prepare(request, { ...work, first }));
    const { image } = ready;
    if (ready.layers.some(isIncomplete)) first.warm();
    const id = request.id ?? randomBytes(8).toString("hex");
    await this.#remakeFailed(ready.layers.map(({ digest }) => digest));
    const record =
      this.#standing(id, image.manifest) ??
      (await this.#mountAt({ id, request, ready, signal: work.signal }));
    // Of an image that has just come all is being brought; of one that was there much may be here, which takes time to see.
    first.addImage(ready);
    await this.#noteExtra(record, extra);
    this.#owners.watch();
    await this.#hold(record);
    return mountResult(record, { ready, seconds: (systemClock.nowMs() - beginMs) / 1000 });
  }

  /**
   * Mounts one layer alone, and keeps it open. One that a server before this one has mounted there, and could not mount again,
   * is that.
   *
   * @throws {EsgzError} as `LayerViews.mountLayer()`
   */
  async mountLayer(
    handle: LayerHandle,
    options: { readonly directory: string; readonly id: string; readonly background: boolean },
  ): Promise<void> {
    const { background, ...place } = options;
    const { views } = this.#services;
    await this.#remakeFailed([handle.layer.digest]);
    if (views.mounts().some(({ id, directory }) => id === place.id && directory === place.directory)) return;
    const record = await views.mountLayer(handle, {
      ...place,
      method: this.#services.config.view,
    });
    if (background && !handle.layer.complete) this.#extras.set(record.id, { background });
    await this.#hold(record);
  }

  /**
   * Ends a mount, by its id or directory.
   *
   * @param options.ownerPid who asks: the owner of a mount may end it, others only when it has ended, or lazily.
   * @throws {EsgzError} as `LayerViews.unmount()`; `MOUNT_FAILED` with errno EBUSY if its owner still runs.
   */
  async unmount(
    target: string,
    { ownerPid, ...options }: { readonly lazy: boolean; readonly ownerPid?: number | undefined },
  ): Promise<void> {
    const { views } = this.#services;
    const mounts = views.mounts();
    const record =
      mounts.find(({ id }) => id === target) ?? mounts.findLast(({ directory }) => directory === target);
    if (record !== undefined && !options.lazy) {
      this.#assertNotOwned(record, ownerPid);
      this.#assertUnused(record);
    }
    await views.unmount(record?.id ?? target, { ...options, ...(await this.#keepingOf(record)) });
    if (record !== undefined) await this.#forget(record);
  }

  /**
   * A container has its root in a mount namespace of its own: the kernel would let the mount here go, and the container
   * would lose what it has not read yet.
   */
  #assertNotOwned({ id, directory }: MountRecord, asks: number | undefined): void {
    const { owner } = this.#extras.get(id);
    if (owner === undefined || owner.pid === asks || !isRunning(owner)) return;
    const message = `Cannot unmount "${directory}": expected nobody to use it, got the container of process ${owner.pid}`;
    throw new EsgzError("MOUNT_FAILED", message, { details: { errno: "EBUSY", users: String(owner.pid) } });
  }

  /**
   * The kernel would let these go as well: an overlay has its layers in a mount namespace of its own, and would lose what was
   * not read yet.
   */
  #assertUnused(record: MountRecord): void {
    if (!isLayer(record) || !this.#usedLayers().has(record.id)) return;
    const message = `Cannot unmount "${record.directory}": expected nobody to use it, got a container engine that does`;
    throw new EsgzError("MOUNT_FAILED", message, { details: { errno: "EBUSY" } });
  }

  /** Ends mounts. Resolves with those that are left: they are in use. */
  async unmountAll(which: MountsToEnd): Promise<readonly MountRecord[]> {
    return await endMounts(which, {
      mounts: this.#services.views.mounts(),
      used: () => this.#usedLayers(),
      unmount: ({ id }, options) => this.unmount(id, options),
      onLeft: ({ id, directory }, error) =>
        this.#services.log.warn({ id, directory, err: error }, "a mount is in use"),
    });
  }

  #usedLayers(): ReadonlySet<string> {
    return new Set(this.#engines.flatMap((used) => [...used()]));
  }

  /** All mounts, with what is going on in them. */
  async list(): Promise<readonly MountStatus[]> {
    return await Promise.all(this.#services.views.mounts().map((record) => this.#statusOf(record)));
  }

  /** Ends what goes on in the background. Mounts stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#owners[Symbol.dispose]();
    this.#ending.abort();
    await Promise.allSettled(this.#background);
  }

  async #keepingOf(record: MountRecord | undefined): Promise<{ readonly keep?: string }> {
    if (record?.writable !== true || this.#extras.get(record.id).discard === true) return {};
    return { keep: await placeForChanges(this.#services.store.root, record.id) };
  }

  #firstReads({ prefetch, start }: Pick<MountRequest, "prefetch" | "start">): FirstReads {
    return new FirstReads({
      services: this.#services,
      prefetch: prefetch ?? this.#services.config.prefetch,
      start,
      inBackground: (reading) => this.#inBackground(reading),
      signal: this.#ending.signal,
    });
  }

  #extraOf({ ownerPid, background, discard }: MountRequest): MountExtra {
    const owner = ownerPid === undefined ? undefined : processOf(ownerPid);
    if (ownerPid !== undefined && owner === undefined) {
      throw new EsgzError(
        "REQUEST_INVALID",
        `Cannot mount for process ${ownerPid}: expected it to run, got none`,
      );
    }
    return {
      background: background ?? this.#services.config.background,
      ...(discard === true ? { discard } : {}),
      ...(owner === undefined ? {} : { owner }),
    };
  }

  /** A mount of which it cannot be noted whose it is would stay when its owner has ended. */
  async #noteExtra(record: MountRecord, extra: MountExtra): Promise<void> {
    try {
      this.#extras.set(record.id, extra);
    } catch (error) {
      await this.#services.views.unmount(record.id, { lazy: true });
      await this.#forget(record);
      throw error;
    }
  }

  /** What a server before this one has mounted, and could not tell. */
  #standing(id: string, manifest: Digest): MountRecord | undefined {
    return this.#services.views.mounts().find((mount) => mount.id === id && mount.manifest === manifest);
  }

  async #mountAt(options: {
    readonly id: string;
    readonly request: MountRequest;
    readonly ready: ReadyImage;
    readonly signal: AbortSignal;
  }): Promise<MountRecord> {
    const { id, request, ready, signal } = options;
    const { views, config } = this.#services;
    const directory = request.directory ?? (await this.#roots.make(id));
    try {
      return await views.mountImage(ready.image, {
        directory,
        id,
        writable: request.writable,
        volatile: request.discard,
        layered: request.layered,
        method: request.view ?? config.view,
        signal,
      });
    } catch (error) {
      if (request.directory === undefined) await this.#roots.remove(directory);
      throw error;
    }
  }

  /** Whoever asks for layers has made sound what was damaged of them: mounts that failed for that can be there again. */
  async #remakeFailed(layers: readonly Digest[]): Promise<void> {
    const { views, log } = this.#services;
    const { remade, failed } = await views.remakeFailed(layers);
    for (const { id, message } of failed) log.error({ id, reason: message }, "cannot show a mount again");
    for (const record of remade) {
      log.info({ id: record.id, directory: record.directory }, "a mount is there again");
      await this.#hold(record);
    }
  }

  #isThere(id: string): boolean {
    return this.#services.views.mounts().some((mount) => mount.id === id);
  }

  async #hold(record: MountRecord): Promise<void> {
    if (!(await this.#held.hold(record))) await this.#forget(record);
  }

  #fill(id: string, layers: readonly Layer[], ending: AbortSignal): void {
    if (!this.#extras.get(id).background) return;
    const signal = AbortSignal.any([ending, this.#ending.signal]);
    this.#inBackground(this.#images.fillInBackground(layers, signal));
  }

  #inBackground(work: Promise<void>): void {
    const settled = work.catch((error: unknown) =>
      this.#services.log.warn({ err: error }, "work in the background failed"),
    );
    this.#background.add(settled);
    void settled.finally(() => this.#background.delete(settled));
  }

  async #drop({ id, owner }: OrphanMount): Promise<void> {
    if (!this.#isThere(id)) return;
    this.#services.log.info({ id, owner: owner.pid }, "the owner of a mount has ended");
    await this.unmount(id, { lazy: true });
  }

  async #forget({ id, directory }: MountRecord): Promise<void> {
    const letGo = this.#held.take(id);
    try {
      this.#extras.remove(id);
      await this.#roots.remove(directory);
    } finally {
      letGo();
    }
  }

  async #statusOf(record: MountRecord): Promise<MountStatus> {
    const { views, fetcher } = this.#services;
    const layers = this.#held.layersOf(record.id);
    return mountStatus(record, { layers, fetcher, statistics: await views.statistics(record.id) });
  }
}
