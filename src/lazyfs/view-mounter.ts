/**
 * Mounts what a plan says, and takes it away.
 *
 * @module
 */
import { chmodSync, chownSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mapConcurrent } from "../async/index.ts";
import {
  mountErofs,
  mountOverlay,
  readMountsAt,
  readMountTable,
  setDirectoryTime,
  unmount,
} from "../erofs-mount/index.ts";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import { makeDirectoriesSync } from "../files/index.ts";
import { unmountFuse } from "../fuse/index.ts";
import type { Digest } from "../oci/index.ts";
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";
import type { HeldLayers } from "./held-layers.ts";
import { KeptFuse } from "./kept-fuse.ts";
import type { LayerFiles } from "./layer-files.ts";
import { readAtRoot } from "./layer-root.ts";
import type { TreePlan, ViewMethod, ViewPlan } from "./mount-record.ts";
import { findMountUsers } from "./mount-users.ts";
import type { RangeFetcher } from "./range-fetcher.ts";
import { TreeViewServer } from "./tree-view-server.ts";
import type { OwnerMap } from "./owner-map.ts";
import { INSTALL_HINT } from "./probe-views.ts";

/** What mounting works with. */
export interface ViewMounterOptions {
  readonly held: HeldLayers;
  readonly fetcher: RangeFetcher;
  readonly files: LayerFiles;
  readonly keeper: FuseKeeper | undefined;
  /** This process's root is not the machine's: overlays note things as users may. */
  readonly inUserNamespace: boolean;
  /** Whom the files of a tree view belong to, where not all ids can be used. */
  readonly owners: OwnerMap | undefined;
  readonly onReadFailed: (error: unknown) => void;
}

/** What a mounted plan needs while it stands: a tree view's connection and server. */
export interface ServedTree {
  readonly fuse: KeptFuse;
  readonly server: TreeViewServer;
}

/** What came of mounting. */
export interface MountedPlan {
  readonly served: readonly ServedTree[];
  /** Layers whose virtual files were acquired, each as often as it was. */
  readonly files: readonly Digest[];
}

/** The source that mounts of a tree view show. */
export function treeSource(id: string): string {
  return `esgz:${id}`;
}

/** The id of a tree's connection for the keeper. */
export function treeFuseId(id: string, index: number): string {
  return `tree:${id}:${index}`;
}

/** As many as the mounting calls have threads for, and their successors. */
const TREES_AT_ONCE = 4;

/** Knows the ways; what stands is its caller's to remember. */
export class ViewMounter {
  readonly #options: ViewMounterOptions;

  constructor(options: ViewMounterOptions) {
    this.#options = options;
  }

  /**
   * Mounts a plan. The directories are there. `done` grows as parts are made, so that a caller can undo what was made when
   * this throws.
   *
   * @param options.assemble false leaves the overlay to somebody inside a user namespace.
   * @throws {EsgzError} `MOUNT_FAILED`, `NOT_SUPPORTED`
   */
  async mount(
    plan: ViewPlan,
    options: {
      readonly id: string;
      readonly method: ViewMethod;
      readonly assemble: boolean;
      readonly done: { served: ServedTree[]; files: Digest[] };
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<void> {
    const { method, done, signal } = options;
    const mountOne = async (index: number): Promise<void> => {
      const tree = plan.trees[index];
      if (tree === undefined) return;
      signal?.throwIfAborted();
      if (method === "tree") done.served.push(await this.#mountTree(tree, { ...options, index }));
      else await this.#mountErofs(tree, { method, done, signal });
    };
    await mapConcurrent([...plan.trees.keys()], mountOne, { concurrency: TREES_AT_ONCE, signal });
    if (plan.overlay !== undefined && options.assemble) await this.#mountOverlay(plan, signal);
  }

  /**
   * Serves a tree whose connection somebody kept.
   *
   * @throws {EsgzError} as `TreeViewServer.start()`
   */
  async serveAdopted(tree: TreePlan, adopted: AdoptedFuse): Promise<ServedTree> {
    const fuse = KeptFuse.take(adopted, this.#options.keeper);
    return { fuse, server: await this.#serve(tree, fuse) };
  }

  async #mountErofs(
    tree: TreePlan,
    options: {
      readonly method: "erofs-file" | "erofs-loop";
      readonly done: { files: Digest[] };
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void> {
    const { held, files } = this.#options;
    const deviceOf = async (digest: Digest): Promise<string> => {
      const { layer } = await held.hold(digest);
      try {
        // What is there completely needs nobody to serve it.
        if (layer.complete) return layer.dataPath;
        const path = await files.acquire(digest);
        options.done.files.push(digest);
        return path;
      } finally {
        await held.release(digest);
      }
    };
    // All at once: the thread that serves takes note of them in one turn.
    const devices = await mapConcurrent(tree.layers, deviceOf, {
      concurrency: Math.max(1, tree.layers.length),
    });
    await mountErofs({
      meta: tree.meta,
      devices,
      directory: tree.place,
      method: options.method === "erofs-file" ? "file" : "loop",
      signal: options.signal,
    });
  }

  async #mountTree(
    tree: TreePlan,
    options: { readonly id: string; readonly index: number },
  ): Promise<ServedTree> {
    const fuse = await this.#makeTreeFuse(tree, options);
    try {
      return { fuse, server: await this.#serve(tree, fuse) };
    } catch (error) {
      await this.takeAway(tree.place, { lazy: true });
      await fuse.close({ forgotten: true });
      throw error;
    }
  }

  async #makeTreeFuse(
    tree: TreePlan,
    options: { readonly id: string; readonly index: number },
  ): Promise<KeptFuse> {
    try {
      return await KeptFuse.make(tree.place, {
        id: treeFuseId(options.id, options.index),
        source: treeSource(options.id),
        features: { readdirplus: "auto" },
        allowOther: true,
        keeper: this.#options.keeper,
      });
    } catch (cause) {
      if (!isEsgzError(cause, "MOUNT_FAILED") || process.geteuid?.() === 0) throw cause;
      const text = `Cannot mount "${tree.place}" without privileges: ${messageOf(cause)}; ${INSTALL_HINT}`;
      throw new EsgzError("NOT_SUPPORTED", text, { cause });
    }
  }

  async #serve(tree: TreePlan, fuse: KeptFuse): Promise<TreeViewServer> {
    const { held, fetcher, inUserNamespace, owners, onReadFailed } = this.#options;
    return await TreeViewServer.start(fuse.fd, {
      held,
      fetcher,
      negotiated: fuse.negotiated,
      metaPath: tree.meta,
      layers: tree.layers,
      userOverlay: inUserNamespace,
      owners,
      onReadFailed,
    });
  }

  async #mountOverlay({ overlay, trees }: ViewPlan, signal: AbortSignal | undefined): Promise<void> {
    if (overlay === undefined) return;
    const { upper, work, volatile, lower, place } = overlay;
    if (upper !== undefined) await this.#likeRoot(upper, trees.at(-1)?.meta ?? "");
    if (work !== undefined && volatile === true) await reuseVolatile(work);
    await mountOverlay({
      lower,
      upper,
      work,
      directory: place,
      userXattrs: this.#options.inUserNamespace,
      volatile,
      signal,
    });
  }

  /** The root of an overlay is what its upper directory is: it gets the mode, owner and time of the image's root. */
  async #likeRoot(upper: string, metaPath: string): Promise<void> {
    const { mode, uid, gid, mtime } = readAtRoot(metaPath, (reader) => reader.getInode(reader.rootNid));
    chmodSync(upper, mode);
    if (!this.#options.inUserNamespace && process.geteuid?.() === 0) chownSync(upper, uid, gid);
    await setDirectoryTime(upper, mtime);
  }

  /**
   * Takes away the topmost mount at a place; nothing happens if there is none.
   *
   * @throws {EsgzError} `MOUNT_FAILED` with `details.errno` EBUSY and who uses it, if somebody does.
   */
  async takeAway(place: string, { lazy }: { readonly lazy: boolean }): Promise<void> {
    if (!(await isMountPoint(place))) return;
    try {
      if (process.geteuid?.() === 0) await unmount(place, { lazy });
      else await unmountFuse(place, { lazy });
    } catch (error) {
      if (!(await isMountPoint(place))) return;
      throw await this.#explainBusy(error, place);
    }
  }

  async #explainBusy(error: unknown, place: string): Promise<unknown> {
    if (!isEsgzError(error, "MOUNT_FAILED")) return error;
    // fusermount3 says it in words only.
    if (error.details["errno"] !== "EBUSY" && !/busy/i.test(error.message)) return error;
    const below = (await readMountTable()).findLast(({ mountPoint }) =>
      mountPoint.startsWith(join(place, "/")),
    );
    const users = await findMountUsers(place);
    const names = users.slice(0, SHOWN_USERS).map(({ pid, name }) => `${name} (${pid})`);
    const more = users.length > names.length ? ` and ${users.length - names.length} more` : "";
    const nobody = below === undefined ? "somebody who does" : `what is mounted at "${below.mountPoint}"`;
    const found = names.length === 0 ? nobody : names.join(", ") + more;
    const text = `Cannot unmount "${place}": expected nobody to use it, got ${found}`;
    const details = { errno: "EBUSY", users: users.map(({ pid }) => pid).join(",") };
    return new EsgzError("MOUNT_FAILED", text, { cause: error, details });
  }
}

/**
 * A volatile overlay is not mounted a second time as long as the kernel's note is there, for the machine might have crashed:
 * where a mount is made again, it has not. Source: the kernel, `Documentation/filesystems/overlayfs.rst`, "Volatile mount".
 */
async function reuseVolatile(work: string): Promise<void> {
  await rm(join(work, "work", "incompat"), { recursive: true, force: true });
}

const SHOWN_USERS = 5;

/**
 * Makes directories, with those above them, as far as they are missing. Not in another thread: while an image is
 * being prepared, each turn of one may be long.
 */
export function makeDirectories(paths: readonly string[]): void {
  for (const path of paths) {
    makeDirectoriesSync(dirname(path), { mode: 0o711 });
    makeDirectoriesSync(path);
  }
}

async function isMountPoint(place: string): Promise<boolean> {
  return (await readMountsAt(place)).length > 0;
}
