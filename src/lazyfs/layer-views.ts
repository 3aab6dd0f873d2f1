/**
 * Images and layers of a store, shown as directories.
 *
 * @module
 */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { Semaphore, SingleFlight, type Clock } from "../async/index.ts";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import { readMountsAt } from "../erofs-mount/index.ts";
import { makeDirectories } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import { isInUserNamespace } from "../runtime/index.ts";
import type { LayerHandle, Store } from "../store/index.ts";
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";
import { HeldLayers } from "./held-layers.ts";
import { LayerFiles } from "./layer-files.ts";
import { createMountState } from "./create-mount-state.ts";
import type { MountRecord, ViewMethod } from "./mount-record.ts";
import type { ViewSupport } from "./probe-views.ts";
import { NewestKeeper } from "./newest-keeper.ts";
import { readOwnerMap, type OwnerMap } from "./owner-map.ts";
import type { RangeFetcher } from "./range-fetcher.ts";
import { remakeFailed, type RemakeReport } from "./remake-failed.ts";
import { restoreViews, type RestoreReport } from "./restore-views.ts";
import { topmostAt } from "./standing-mounts.ts";
import { assertStandsAlone } from "./stands-alone.ts";
import { visibleLayers } from "./visible-layers.ts";
import type { ViewEvent } from "./view-event.ts";
import type { ViewedImage } from "./viewed-image.ts";
import { View, type ViewContext } from "./view.ts";
import { homeOf } from "./view-home.ts";
import type { ViewRequest } from "./view-plan.ts";
import { ViewMethods } from "./view-methods.ts";
import { ViewMounter } from "./view-mounter.ts";
import { readViewStatistics, type ViewStatistics } from "./view-statistics.ts";

/** What views work with. */
export interface LayerViewsOptions {
  readonly store: Store;
  readonly fetcher: RangeFetcher;
  /** `S`, absolute: `S/fuse` is the mount of virtual files, `S/mounts/<id>` is what each mount has for itself. */
  readonly directory: string;
  readonly clock: Clock;
  /** Connections that were kept while no server ran; see {@link LayerViews.restore}. */
  readonly adopted?: readonly AdoptedFuse[] | undefined;
  /** Keeps connections while servers come and go; without it mounts end with this process. */
  readonly keeper?: FuseKeeper | undefined;
  /** This process may not mount overlays at places that others see: their parts are returned instead. */
  readonly rootless: boolean;
  /** Whom files of tree views belong to; default: what this process's ids allow. */
  readonly owners?: OwnerMap | undefined;
  readonly onEvent?: ((event: ViewEvent) => void) | undefined;
}

/** How something is mounted. */
export interface MountViewOptions {
  /** An existing directory; default: one of the mount's own, see {@link MountRecord.directory}. */
  readonly directory?: string | undefined;
  /** Names the mount: up to 128 letters, digits, `_`, `.` and `-`. */
  readonly id: string;
  readonly writable?: boolean | undefined;
  /** What is written is thrown away in the end: nothing of it is synced. Default false. */
  readonly volatile?: boolean | undefined;
  /** Default: the best way that works. */
  readonly method?: ViewMethod | "auto" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Shows layers and images, and remembers durably what it shows. */
export class LayerViews implements AsyncDisposable {
  readonly #options: LayerViewsOptions;
  readonly #context: ViewContext;
  readonly #files: LayerFiles;
  readonly #methods: ViewMethods;
  readonly #views = new Map<string, View>();
  readonly #unmounts = new SingleFlight<string, void>();
  readonly #turn = new Semaphore(1);
  #adopted: readonly AdoptedFuse[];
  #closed: Promise<void> | undefined;

  private constructor(
    options: LayerViewsOptions,
    parts: { readonly context: ViewContext; readonly files: LayerFiles },
  ) {
    this.#options = options;
    this.#context = parts.context;
    this.#files = parts.files;
    this.#methods = new ViewMethods(join(parts.context.directory, "mounts"));
    this.#adopted = options.adopted ?? [];
  }

  /**
   * Makes the directories. Nothing is served before {@link LayerViews.restore}, which is to be called first where a process
   * before this one may have left mounts.
   */
  static async open(options: LayerViewsOptions): Promise<LayerViews> {
    const { store, fetcher, clock, onEvent = () => undefined } = options;
    const keeper = options.keeper === undefined ? undefined : new NewestKeeper(options.keeper);
    await makeDirectories(join(options.directory, "mounts"), { mode: 0o711 });
    const directory = await realpath(options.directory);
    const onReadFailed = (error: unknown): void =>
      onEvent({
        kind: "read-failed",
        code: isEsgzError(error) ? error.code : undefined,
        message: messageOf(error),
      });
    const held = new HeldLayers(store, fetcher);
    const files = new LayerFiles({
      directory: join(directory, "fuse"),
      held,
      fetcher,
      keeper,
      onReadFailed,
      onServerFailed: (error) => onEvent({ kind: "server-failed", message: messageOf(error) }),
    });
    const inUserNamespace = await isInUserNamespace();
    const ids = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
    const owners = options.owners ?? (await readOwnerMap(ids));
    const mounter = new ViewMounter({ held, fetcher, files, keeper, inUserNamespace, owners, onReadFailed });
    const context = { store, fetcher, held, files, mounter, keeper, clock, onEvent, directory };
    return new LayerViews(options, { context, files });
  }

  /** Which ways work here; tried once. @throws {EsgzError} `IO_FAILED` if the store's directory cannot be written */
  async probe(): Promise<ViewSupport> {
    return await this.#methods.probe();
  }

  /** Does what the first mount needs and no image: to be called while the image is still being asked for. */
  async warm(): Promise<void> {
    const { method } = await this.probe();
    if (method === "erofs-file" || method === "erofs-loop") await this.#files.warm();
  }

  /**
   * Mounts an image: one merged tree, or an overlay of one tree per layer (`layered`).
   *
   * Writable mounts of a process that may not mount overlays have nothing at their directory, but `overlay` in the record.
   *
   * @throws {EsgzError} `MOUNT_FAILED`; `NOT_SUPPORTED` where no way works, and for `layered` if a layer has hard links to files
   * of layers below; `ALREADY_EXISTS` for an id or directory in use; `ABORTED` after `close()`.
   */
  async mountImage(
    image: ViewedImage,
    options: MountViewOptions & { readonly layered?: boolean | undefined },
  ): Promise<MountRecord> {
    const layered = options.layered === true;
    const all = image.layers.map(({ handle: { layer } }) => layer);
    const shown = layered ? visibleLayers(all) : all;
    if (layered) for (const layer of shown) assertStandsAlone(layer);
    const home = homeOf(this.#context.directory, options.id);
    const layers = shown.map(({ digest, metaPath }) => ({ digest, meta: metaPath }));
    return await this.#mount(
      {
        home,
        layers,
        merged: { meta: join(home, "meta"), metaDigest: image.mergedMeta.digest },
        layered,
      },
      { ...options, reference: image.name, manifest: image.manifest, metaSource: image.mergedMeta.path },
    );
  }

  /** Mounts one layer alone: whiteouts and opaque marks are shown as overlayfs wants them. @throws {EsgzError} as `mountImage()` */
  async mountLayer(handle: LayerHandle, options: MountViewOptions): Promise<MountRecord> {
    assertStandsAlone(handle.layer);
    const { digest, metaPath } = handle.layer;
    const home = homeOf(this.#context.directory, options.id);
    return await this.#mount(
      { home, layers: [{ digest, meta: metaPath }], layered: false },
      { ...options, reference: digest },
    );
  }

  /**
   * Takes a mount away, with what was written to it.
   *
   * @param options.lazy takes the name away even while somebody uses it; what they have open goes on to work.
   * @param options.keep where to move what was written to it, if anything was: a place on the store's filesystem that does
   * not exist, in a directory that does.
   * @throws {EsgzError} `MOUNT_FAILED` with errno EBUSY and who uses it; `FILE_NOT_FOUND` if there is no such mount.
   */
  async unmount(
    idOrDirectory: string,
    options: { readonly lazy?: boolean; readonly keep?: string | undefined } = {},
  ): Promise<void> {
    const view = this.#find(idOrDirectory);
    if (view === undefined) {
      const text = `Cannot unmount "${idOrDirectory}": expected a mount of this store, got none`;
      throw new EsgzError("FILE_NOT_FOUND", text);
    }
    const { id } = view.record;
    const lazy = options.lazy === true;
    // Who takes it away in any case does not fail with who would rather not.
    await this.#unmounts.run(`${id} ${lazy}`, async () => {
      await view.unmount({ lazy, keep: options.keep });
      this.#drop(id, view);
    });
  }

  /** All mounts that stand, oldest first. */
  mounts(): readonly MountRecord[] {
    return [...this.#views.values()].filter((view) => view.isMounted).map(({ record }) => record);
  }

  /** What was read of a mount, and what its readers wait for now. Undefined if there is none. */
  async statistics(id: string): Promise<ViewStatistics | undefined> {
    const view = this.#views.get(id);
    return view === undefined ? undefined : await readViewStatistics(this.#context, view.state);
  }

  /**
   * After a restart: serves the connections that were kept, makes mounts again whose connection died, and takes away what
   * was begun and not finished. To be called once, before anything is mounted.
   */
  async restore(): Promise<RestoreReport> {
    const adopted = this.#adopted;
    this.#adopted = [];
    return await restoreViews(this.#context, { adopted, views: this.#views });
  }

  /** Tries what `restore()` could not do, of mounts that show one of these layers: when damaged ones were made again. */
  async remakeFailed(layers: readonly Digest[]): Promise<RemakeReport> {
    return await remakeFailed(this.#views.values(), layers);
  }

  /**
   * Stops serving. Mounts stay if somebody keeps their connections, and their readers wait for the next server; without a
   * keeper they are taken away, lazily where they are in use. Idempotent.
   */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const stays = this.#options.keeper !== undefined;
    for (const view of this.#views.values()) {
      try {
        if (stays) await view.stopServing();
        else await view.unmount({ lazy: true });
      } catch (error) {
        // The others are to go all the same.
        this.#context.onEvent({ kind: "cleanup-failed", id: view.record.id, message: messageOf(error) });
      }
    }
    await this.#files.close({ unmount: !stays || this.#views.size === 0 });
    await this.#methods.settle();
    // What was handed over and never served is somebody else's to serve.
    if (!stays) this.#views.clear();
  }

  async #mount(
    request: Omit<ViewRequest, "directory" | "writable" | "volatile">,
    options: MountViewOptions & {
      readonly reference: string;
      readonly manifest?: Digest;
      readonly metaSource?: string;
    },
  ): Promise<MountRecord> {
    const { id, volatile, signal } = options;
    signal?.throwIfAborted();
    const writable = options.writable === true;
    const methods = await this.#methods.choose(options.method ?? "auto");
    // One at a time until its name is taken.
    const view = await this.#turn.run(async () => {
      const directory = await this.#claim(id, options.directory ?? join(request.home, "root"));
      const mayAssemble = !this.#options.rootless || process.geteuid?.() === 0;
      const state = createMountState({
        id,
        directory,
        reference: options.reference,
        manifest: options.manifest,
        view: { ...request, directory, writable, volatile },
        method: methods[0] ?? "tree",
        mayAssemble,
        before: topmostAt(await readMountsAt(directory), directory)?.id ?? 0,
        createdMs: this.#options.clock.wallMs(),
      });
      if (this.#closed !== undefined) throw closedViews(id);
      const made = new View(this.#context, { state, home: request.home });
      this.#views.set(id, made);
      return made;
    });
    try {
      await view.make({ methods, metaSource: options.metaSource, signal });
      return view.record;
    } catch (error) {
      this.#drop(id, view);
      throw error;
    }
  }

  /** The id may be another's by now. */
  #drop(id: string, view: View): void {
    if (this.#views.get(id) === view) this.#views.delete(id);
  }

  async #claim(id: string, wanted: string): Promise<string> {
    const isOwn = wanted.startsWith(`${homeOf(this.#context.directory, id)}/`);
    const directory = isOwn ? wanted : await realDirectory(wanted);
    const other = this.#views.get(id) ?? this.#find(directory);
    if (other === undefined) return directory;
    const { record } = other;
    const place = record.directory === directory ? `on "${directory}"` : `with id "${id}"`;
    throw new EsgzError(
      "ALREADY_EXISTS",
      `Cannot mount ${place}: expected no mount of this store, got one of "${record.reference}" on "${record.directory}"`,
    );
  }

  #find(idOrDirectory: string): View | undefined {
    const plain = idOrDirectory.length > 1 ? idOrDirectory.replace(/\/+$/, "") : idOrDirectory;
    return (
      this.#views.get(idOrDirectory) ??
      [...this.#views.values()].find(({ record }) => record.directory === plain)
    );
  }
}

function closedViews(id: string): EsgzError {
  return new EsgzError("ABORTED", `Cannot mount "${id}": expected open views, got closed ones`);
}

async function realDirectory(wanted: string): Promise<string> {
  try {
    return await realpath(wanted);
  } catch (cause) {
    const text = `Cannot mount on "${wanted}": expected a directory, got ${messageOf(cause)}`;
    throw new EsgzError("MOUNT_FAILED", text, { cause, details: { errno: "ENOENT" } });
  }
}
