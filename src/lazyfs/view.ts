/**
 * One mounted image or layer, from the lease that announces it to the lease's end.
 *
 * @module
 */
import { type Clock, Semaphore } from "../async/index.ts";
import { readMountTable, unmountBelow } from "../erofs-mount/index.ts";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import { repairMetas } from "./check-view.ts";
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";
import type { HeldLayers } from "./held-layers.ts";
import type { LayerFiles } from "./layer-files.ts";
import type { ViewEvent } from "./view-event.ts";
import { encodeMountState, type MountRecord, type MountState, type ViewMethod } from "./mount-record.ts";
import type { RangeFetcher } from "./range-fetcher.ts";
import { ownMountsAt, topmostAt } from "./standing-mounts.ts";
import { keepChanges, keepMeta, makeHome, removeHome } from "./view-home.ts";
import { makeDirectories, treeFuseId, type ServedTree, type ViewMounter } from "./view-mounter.ts";
import { directoriesOf, placesOf } from "./view-plan.ts";

/** What all views of a store share. */
export interface ViewContext {
  readonly store: Store;
  readonly fetcher: RangeFetcher;
  readonly held: HeldLayers;
  readonly files: LayerFiles;
  readonly mounter: ViewMounter;
  readonly keeper: FuseKeeper | undefined;
  readonly clock: Clock;
  readonly onEvent: (event: ViewEvent) => void;
  /** `S`, without symbolic links. */
  readonly directory: string;
}

/** A power loss ends mounts as well as their leases. */
const NOT_DURABLE = { durable: false };
/** How long an unmount waits for the kernel to close what the mount had open. It does so at once, but not before it returns. */
const RELEASE_MS = 1000;

/** A mount and what it takes to serve it. */
export class View {
  readonly home: string;
  readonly #context: ViewContext;
  #state: MountState;
  #served: readonly ServedTree[] = [];
  /** Guards what is mounted: it is made, made again, left to another process, or taken away. */
  readonly #turn = new Semaphore(1);
  #isGone = false;

  constructor(context: ViewContext, view: { readonly state: MountState; readonly home: string }) {
    this.#context = context;
    this.#state = view.state;
    this.home = view.home;
  }

  /** How it is mounted now. */
  get state(): MountState {
    return this.#state;
  }

  /** What users are told of it. */
  get record(): MountRecord {
    return this.#state.record;
  }

  /** Whether it was made and nobody takes it away. */
  get isMounted(): boolean {
    return this.#state.phase === "mounted";
  }

  /** Whether it was to be made again, and could not. */
  get hasFailed(): boolean {
    return this.#state.phase === "remaking" && !this.#isGone;
  }

  /**
   * Mounts it for the first time, in the first of the ways that works. The lease is there before anything else, and gone after
   * everything else if this throws.
   */
  async make(options: {
    readonly methods: readonly ViewMethod[];
    readonly metaSource: string | undefined;
    readonly signal: AbortSignal | undefined;
  }): Promise<void> {
    await this.#turn.run(async () => {
      try {
        this.#remember({});
        await makeHome(this.home);
        makeDirectories(directoriesOf(this.#state.plan, this.home));
        if (options.metaSource !== undefined) await keepMeta(options.metaSource, this.home);
        await this.#mountFirst(options.methods, options.signal);
      } catch (error) {
        await this.#forget();
        throw error;
      }
    });
  }

  /**
   * Takes it away and forgets it; one that is being made is waited for.
   *
   * @param options.keep where to move what was written to it.
   * @throws {EsgzError} `MOUNT_FAILED` with errno EBUSY if it is in use; it stays then.
   */
  async unmount({
    lazy,
    keep,
  }: {
    readonly lazy: boolean;
    readonly keep?: string | undefined;
  }): Promise<void> {
    await this.#turn.run(async () => {
      // It could not be made: its id and place may be another's by now.
      if (this.#isGone) return;
      await this.#takeAway({ lazy });
      await this.#release({ waitMs: lazy ? 0 : RELEASE_MS });
      if (keep !== undefined) await keepChanges(this.home, keep);
      await this.#forget();
    });
  }

  /** Stops serving its tree, whose mount stays for another process. */
  async stopServing(): Promise<void> {
    await this.#turn.run(async () => {
      for (const { fuse, server } of this.#served) {
        await server.close();
        await fuse.close({ forgotten: false });
      }
      this.#served = [];
    });
  }

  /** Whether its mounts are all there. Nothing is asked but the mount table. */
  async stands(): Promise<boolean> {
    const table = await readMountTable();
    const { state, home } = this;
    const wanted = state.record.overlay === undefined ? [state.record.directory] : [];
    const places = [...wanted, ...state.plan.trees.map(({ place }) => place)];
    return places.every((place) => ownMountsAt(table, { state, home, place }).length > 0);
  }

  /** Serves its trees over connections that were kept. @throws {EsgzError} as `TreeViewServer.start()` */
  async serveAdopted(take: (id: string) => AdoptedFuse | undefined): Promise<void> {
    const served: ServedTree[] = [];
    this.#served = served;
    for (const [index, tree] of this.#state.plan.trees.entries()) {
      const adopted = take(treeFuseId(this.record.id, index));
      if (adopted !== undefined) served.push(await this.#context.mounter.serveAdopted(tree, adopted));
    }
    this.#watch();
  }

  /**
   * Replaces mounts that nobody serves any more, or that show what they should not, at the same places.
   *
   * @param options.isServed its virtual files are served, and have to be let go.
   * @throws {EsgzError} `MOUNT_FAILED`, ...; nothing of it is mounted then.
   */
  async remake({ isServed }: { readonly isServed: boolean }): Promise<void> {
    const { files } = this.#state;
    this.#remember({ phase: "remaking", files: [] });
    await this.#takeAway({ lazy: true });
    if (isServed) this.#state = { ...this.#state, files };
    await this.#release({ waitMs: 0 });
    makeDirectories(directoriesOf(this.#state.plan, this.home));
    await repairMetas(this.#context, this.#state.plan.trees);
    await this.#mountFirst([this.#state.method], undefined);
  }

  /** Does what {@linkcode remake} could not do; false if there is nothing to do any more. @throws {EsgzError} as that */
  async remakeFailed(): Promise<boolean> {
    return await this.#turn.run(async () => {
      if (!this.hasFailed) return false;
      await this.remake({ isServed: false });
      return true;
    });
  }

  /** Takes away what is left of it: mounts, directory, lease. */
  async drop(): Promise<void> {
    await this.#takeAway({ lazy: true });
    await this.#release({ waitMs: 0 });
    await this.#forget();
  }

  async #mountFirst(methods: readonly ViewMethod[], signal: AbortSignal | undefined): Promise<void> {
    for (const [at, method] of methods.entries()) {
      const done = { served: [] as ServedTree[], files: [] as Digest[] };
      try {
        const { record, plan } = this.#state;
        const assemble = record.overlay === undefined;
        await this.#context.mounter.mount(plan, { id: record.id, method, assemble, done, signal });
        this.#served = done.served;
        const isLocal = method !== "tree" && done.files.length === 0;
        this.#remember({
          phase: "mounted",
          method,
          files: done.files,
          record: { ...record, method: isLocal ? "local" : method },
        });
        this.#watch();
        return;
      } catch (error) {
        this.#served = done.served;
        this.#state = { ...this.#state, files: done.files };
        await this.#takeAway({ lazy: true });
        await this.#release({ waitMs: RELEASE_MS });
        if (at === methods.length - 1 || !isRefusal(error)) throw error;
      }
    }
  }

  async #takeAway({ lazy }: { readonly lazy: boolean }): Promise<void> {
    const [first, ...below] = placesOf(this.#state.plan);
    if (first !== undefined) await this.#takeAwayAt(first, { lazy });
    // Below an overlay that is gone nobody has anything open by name.
    if (below.length > 0 && process.geteuid?.() === 0) await unmountBelow(this.home, { lazy: true });
    else for (const place of below) await this.#takeAwayAt(place, { lazy: true });
  }

  async #takeAwayAt(place: string, { lazy }: { readonly lazy: boolean }): Promise<void> {
    const { home } = this;
    for (;;) {
      const table = await readMountTable();
      const own = ownMountsAt(table, { state: this.#state, home, place });
      if (own.length === 0) return;
      if (own.at(-1)?.id !== topmostAt(table, place)?.id) throw covered(place);
      await this.#context.mounter.takeAway(place, { lazy });
    }
  }

  async #release({ waitMs }: { readonly waitMs: number }): Promise<void> {
    const released = [
      ...this.#served.map(async ({ fuse, server }) => {
        await server.closed;
        await fuse.close({ forgotten: true });
      }),
      ...this.#state.files.map((digest) => this.#context.files.release(digest)),
    ];
    this.#served = [];
    this.#state = { ...this.#state, files: [] };
    const all = Promise.allSettled(released);
    if (waitMs === 0 || released.length === 0) return;
    const enough = new AbortController();
    const limit = this.#context.clock.sleep(waitMs, { signal: enough.signal }).catch(() => undefined);
    await Promise.race([all, limit]);
    enough.abort();
  }

  /** The lease is the last to go: what is left until then is found by the next process. */
  async #forget(): Promise<void> {
    const { id } = this.record;
    this.#isGone = true;
    try {
      await removeHome(this.home);
      this.#context.store.removeLease(id, NOT_DURABLE);
    } catch (error) {
      this.#context.onEvent({ kind: "cleanup-failed", id, message: messageOf(error) });
    }
  }

  #remember(change: Partial<MountState>): void {
    this.#state = { ...this.#state, ...change };
    const { id, layers } = this.record;
    const detail = encodeMountState(this.#state);
    this.#context.store.setLease({ id, kind: "mount", layers, detail }, NOT_DURABLE);
  }

  /** A thread that fails leaves its mount without an answer. */
  #watch(): void {
    for (const { server } of this.#served) {
      server.failed.catch((error: unknown) =>
        this.#context.onEvent({ kind: "server-failed", message: messageOf(error) }),
      );
    }
  }
}

/** Whether another way to mount may help. */
function isRefusal(error: unknown): boolean {
  return isEsgzError(error, "MOUNT_FAILED") || isEsgzError(error, "NOT_SUPPORTED");
}

function covered(place: string): EsgzError {
  const text = `Cannot unmount "${place}": expected its topmost mount, got one that another mount covers`;
  return new EsgzError("MOUNT_FAILED", text, { details: { errno: "EBUSY" } });
}
