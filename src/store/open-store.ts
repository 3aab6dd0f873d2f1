/**
 * Opens a layer store.
 *
 * @module
 */
import { rm } from "node:fs/promises";
import type { Clock } from "../async/index.ts";
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import { ensureDirectory, replaceFile } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import { type ChunkTableLimits, DEFAULT_TABLE_LIMITS } from "./chunk-table-limits.ts";
import { ChunkCopier } from "./chunk-copier.ts";
import { ContentStore } from "./content-store.ts";
import type { LayerContext } from "./layer-files.ts";
import { LayerShelf } from "./layer-shelf.ts";
import { MetadataDatabase } from "./metadata-database.ts";
import { PageCache } from "./page-cache.ts";
import { readBoundedFile } from "./read-bounded-file.ts";
import { guarded, storeInvalid } from "./store-error.ts";
import type { StoreObserver } from "./store-event.ts";
import { DIRECTORY_MODE, STORE_FORMAT, StoreLayout } from "./store-layout.ts";
import { SpaceReserve } from "./space-reserve.ts";
import { acquireStoreLock } from "./store-lock.ts";
import type { StoreParts } from "./store-parts.ts";
import { bytesOf, StoreRoom } from "./store-room.ts";
import { Store } from "./store.ts";

/** How to open a store. */
export interface StoreOptions {
  readonly clock: Clock;
  /** The number of this process, for the message that others get while the store is in use. */
  readonly pid: number;
  /** The most bytes that layers may take; no bound if absent. */
  readonly quotaBytes?: number | undefined;
  /** Is told what happens. It must not throw. */
  readonly onEvent?: StoreObserver | undefined;
  /** Bounds on what chunk tables may say. */
  readonly limits?: Partial<ChunkTableLimits> | undefined;
  /**
   * Whether layers that were closed cleanly, and whose files nobody has touched since, are believed (default). With
   * `every-session`, all chunks are verified in each session before they are read.
   */
  readonly verification?: "after-doubt" | "every-session" | undefined;
  /** Pages (4 KiB) of chunk tables that are kept in memory; default 512. */
  readonly cachedPages?: number | undefined;
  /** Chunks that can be found for copying, 24 bytes of memory each while that is used; default 524288. */
  readonly maxIndexedChunks?: number | undefined;
  /** Bytes written to a layer that begin a checkpoint by themselves; default 64 MiB. */
  readonly checkpointBytes?: number | undefined;
}

/**
 * Opens a directory as a store, creating it if needed, and clears what a crash left half-made.
 *
 * @throws {EsgzError} `STORE_INVALID` while another process has it open (`details.pid`), if it is of another version, or
 * if its database is damaged; `NO_SPACE`, `IO_FAILED`
 */
export async function openStore(root: string, options: StoreOptions): Promise<Store> {
  const layout = new StoreLayout(root);
  return await guarded(`open store "${root}"`, async () => {
    await ensureDirectory(root, { mode: DIRECTORY_MODE });
    const lock = acquireStoreLock(layout.lock, { pid: options.pid });
    try {
      const reserve = new SpaceReserve(layout.reserve, root);
      return await reserve.use(async () => {
        await guarded(`open store "${root}"`, async () => await prepareDirectories(layout));
        return await connect({ layout, lock, reserve }, options);
      });
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  });
}

async function prepareDirectories(layout: StoreLayout): Promise<void> {
  await ensureFormat(layout);
  await rm(layout.temp, { recursive: true, force: true });
  for (const directory of [layout.temp, layout.layers, layout.content])
    await ensureDirectory(directory, { mode: DIRECTORY_MODE });
}

async function connect(
  opened: Pick<StoreParts, "layout" | "lock" | "reserve">,
  options: StoreOptions,
): Promise<Store> {
  const database = MetadataDatabase.open(opened.layout.database);
  try {
    return new Store(await connectParts({ ...opened, database }, options));
  } catch (error) {
    database[Symbol.dispose]();
    throw error;
  }
}

async function connectParts(
  opened: Pick<StoreParts, "layout" | "lock" | "reserve" | "database">,
  options: StoreOptions,
): Promise<StoreParts> {
  const { layout, database, reserve } = opened;
  const onEvent = options.onEvent ?? ((): void => undefined);
  const context: LayerContext = {
    limits: { ...DEFAULT_TABLE_LIMITS, ...options.limits },
    cache: new PageCache(options.cachedPages ?? 512),
    nextTemporary: () => layout.nextTemporary(),
    onEvent,
    admit: async (bytes) => {
      reserve.assertWhole();
      return await room.admit(bytes);
    },
    admitStaged: async (bytes) => {
      reserve.assertWhole();
      return await room.admitStaged(bytes);
    },
    admitRecords: (bytes) => room.admitRecords(bytes),
    isPinned: (digest) => database.leasedLayers().has(digest),
    pinnedAs: (digest) => database.leasedIdentities(digest),
    believeClean: options.verification !== "every-session",
    checkpointBytes: options.checkpointBytes ?? 64 << 20,
  };
  const shelf = new LayerShelf(layout, context);
  const sizes = await shelf.sizes();
  const present = new Set(sizes.map(({ digest }) => digest));
  const used = timesOfUse(database, { present, nowMs: options.clock.wallMs() });
  const room: StoreRoom = new StoreRoom(
    {
      quotaBytes: options.quotaBytes,
      shelf: () => shelf,
      rules: () => {
        database.expireLeases(options.clock.wallMs());
        return { pinned: database.leasedLayers(), wanted: database.imageLayers(), usedMs: used };
      },
      onDropped: (layer) => {
        used.delete(layer);
        database.forgetUsed(layer);
      },
      onEvent,
    },
    sizes.reduce((sum, size) => sum + bytesOf(size), 0),
  );
  return {
    ...opened,
    shelf,
    content: new ContentStore(layout, reserve, onEvent),
    room,
    context,
    clock: options.clock,
    copier: new ChunkCopier({ shelf, usedMs: used, maxIndexedChunks: options.maxIndexedChunks ?? 1 << 19 }),
    used,
  };
}

/** When the layers that are there were used. */
function timesOfUse(
  database: MetadataDatabase,
  { present, nowMs }: { readonly present: ReadonlySet<Digest>; readonly nowMs: number },
): Map<Digest, number> {
  const used = new Map(database.used());
  // Made after the last checkpoint of a session that was killed: nothing here is newer.
  for (const layer of present) if (!used.has(layer)) used.set(layer, nowMs);
  for (const layer of used.keys()) {
    if (present.has(layer)) continue;
    used.delete(layer);
    database.forgetUsed(layer);
  }
  return used;
}

async function ensureFormat(layout: StoreLayout): Promise<void> {
  const found = await readBoundedFile(layout.format, { limit: 4096 });
  if (found === undefined) {
    const temporary = `${layout.format}.new`;
    await rm(temporary, { force: true });
    await replaceFile(layout.format, encodeUtf8(STORE_FORMAT), { temporary });
    return;
  }
  if (decodeUtf8(found) === STORE_FORMAT) return;
  throw storeInvalid(`store "${layout.root}"`, {
    expected: STORE_FORMAT.trim(),
    found: `${JSON.stringify(decodeUtf8(found.subarray(0, 64)))} in "${layout.format}"`,
  });
}
