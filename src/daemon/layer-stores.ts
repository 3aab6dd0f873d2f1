/**
 * The additional layer stores of a server: which are mounted, and where.
 *
 * @module
 */
import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { KeyLocks } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { isLayerStoreFuse, LayerStore, type LayerStoreOptions } from "../lazyfs/index.ts";
import { readMountTable } from "../erofs-mount/index.ts";
import type { MountWork } from "./mount-work.ts";
import type { Services } from "./services.ts";
import { StoreLayers } from "./store-layers.ts";
import type { StoreWork } from "./store-work.ts";

/** What it works with. */
export interface LayerStoresOptions {
  readonly services: Services;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
}

const KIND = "layer-store";

/** Mounts stores for Podman and CRI-O, and goes on with them after a restart. */
export class LayerStores implements AsyncDisposable {
  readonly #options: LayerStoresOptions;
  readonly #services: Services;
  readonly #stores = new Map<string, LayerStore>();
  /** By directory: one store is mounted there, or taken away, at a time. */
  readonly #locks = new KeyLocks<string>();
  #layers: Promise<StoreLayers> | undefined;

  constructor(options: LayerStoresOptions) {
    this.#options = options;
    this.#services = options.services;
  }

  /** Where stores are mounted. */
  get directories(): readonly string[] {
    return [...this.#stores.keys()];
  }

  /** Goes on with the stores of the server before, and mounts those that this daemon was started for. */
  async resume(): Promise<void> {
    const { start, store, log } = this.#services;
    for (const adopted of start.adopted.filter(isLayerStoreFuse)) {
      try {
        this.#note(await LayerStore.adopt(adopted, await this.#storeOptions()));
      } catch (error) {
        log.error({ err: error, directory: adopted.target }, "cannot go on with a layer store");
      }
    }
    const dead = store.leases().filter(({ kind, detail }) => kind === KIND && !this.#stores.has(detail));
    const mounted = new Set((await readMountTable()).map(({ mountPoint }) => mountPoint));
    for (const { id, detail } of dead) {
      store.removeLease(id);
      // One whose connection died. Where nothing is mounted any more, whoever wants it asks for it.
      if (mounted.has(detail)) await this.#serveAgain(detail);
    }
    for (const directory of start.settings.layerStores ?? []) await this.serve(directory);
  }

  /** Has a store mounted at a directory, which is made if there is none. @throws {EsgzError} `MOUNT_FAILED`, `NOT_SUPPORTED` */
  async serve(wanted: string): Promise<void> {
    const directory = await realPlace(wanted);
    await this.#locks.run([directory], async () => {
      if (!this.#stores.has(directory)) await this.#mount(directory);
    });
  }

  /** Takes a store away. @throws {EsgzError} `FILE_NOT_FOUND`, `MOUNT_FAILED` */
  async remove(wanted: string): Promise<void> {
    const directory = await realPlace(wanted);
    await this.#locks.run([directory], async () => {
      const store = this.#stores.get(directory);
      if (store === undefined) {
        const text = `Cannot unmount "${wanted}": expected a layer store, got none`;
        throw new EsgzError("FILE_NOT_FOUND", text);
      }
      await store.unmount();
      this.#forget(directory);
    });
  }

  /** Takes all away. What cannot be taken away is logged. */
  async removeAll(): Promise<void> {
    for (const directory of this.directories) {
      await this.remove(directory).catch((error: unknown) =>
        this.#services.log.warn({ err: error, directory }, "cannot unmount"),
      );
    }
  }

  /** Stops serving; mounts stay for the next server. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores.values()) await store.close();
    this.#stores.clear();
    await (await this.#layers)?.[Symbol.asyncDispose]();
  }

  async #mount(directory: string): Promise<void> {
    // A dead mount says that it is there, in its way.
    await mkdir(directory, { mode: 0o711 }).catch(() => undefined);
    const made = await LayerStore.mount(directory, await this.#storeOptions());
    this.#services.store.setLease({ id: `${KIND}:${directory}`, kind: KIND, layers: [], detail: directory });
    this.#note(made);
    this.#services.log.info({ directory }, "serving layers to container engines");
  }

  async #serveAgain(directory: string): Promise<void> {
    await this.serve(directory).catch((error: unknown) =>
      this.#services.log.error({ err: error, directory }, "cannot mount a layer store again"),
    );
  }

  #note(store: LayerStore): void {
    const { directory } = store;
    this.#stores.set(directory, store);
    // Somebody else took it away.
    void store.closed.then((how) => {
      if (how === "ended" && this.#stores.get(directory) === store) this.#forget(directory);
    });
  }

  #forget(directory: string): void {
    this.#stores.delete(directory);
    this.#services.store.removeLease(`${KIND}:${directory}`);
  }

  async #storeOptions(): Promise<LayerStoreOptions> {
    this.#layers ??= this.#openLayers().catch((error: unknown) => {
      // A disk that is full now may have room later.
      this.#layers = undefined;
      throw error;
    });
    const { log, channel, counts } = this.#services;
    return {
      host: await this.#layers,
      keeper: { adopt: (fuse) => channel.adopt(fuse), disown: (id) => channel.disown(id) },
      onFailure: ({ reference, digest, error }) =>
        log.warn({ reference, digest, err: error }, "an image is not there for a container engine"),
      onReadFailed: (error) => {
        counts.note("view:read-failed");
        log.warn({ err: error }, "a container engine got an error");
      },
      onServerFailed: (error) => {
        log.fatal(
          { message: messageOf(error) },
          "a thread that serves layers failed: another server takes over",
        );
        channel.end("retire");
      },
    };
  }

  async #openLayers(): Promise<StoreLayers> {
    const root = await realpath(this.#services.start.settings.store);
    const layers = new StoreLayers({ ...this.#options, root });
    await layers.makeDirectories();
    this.#options.mounts.addEngine(() => layers.usedMounts());
    return layers;
  }
}

/** Without symbolic links, and without a look at what is mounted there. */
async function realPlace(wanted: string): Promise<string> {
  const place = resolve(wanted);
  await mkdir(dirname(place), { recursive: true, mode: 0o755 });
  return join(await realpath(dirname(place)), basename(place));
}
