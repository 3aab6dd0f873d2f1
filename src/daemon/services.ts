/**
 * The parts that a server is made of.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import { DisposableList, systemClock } from "../async/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import {
  type FetchEvent,
  isLayerStoreFuse,
  LayerFetcher,
  LayerViews,
  PreparationThreads,
  type ViewEvent,
} from "../lazyfs/index.ts";
import { openStore, type Store, type StoreEvent, type StoreOptions } from "../store/index.ts";
import type { DeclinedSnapshot } from "./control-protocol.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import { EventCounts } from "./event-counts.ts";
import type { HolderChannel } from "./holder-channel.ts";
import type { ServerStart } from "./holder-messages.ts";
import { type Keychains, openKeychains } from "./keychains.ts";
import { LayerUses } from "./layer-uses.ts";
import { RegistryClients } from "./registry-clients.ts";
import { processEnvironment } from "./server-config.ts";
import type { ServerLog } from "./server-log.ts";
import { CREDENTIALS_SOCKET } from "./socket-names.ts";

/** What services are made from. */
export interface ServicesOptions {
  readonly start: ServerStart;
  readonly config: DaemonConfig;
  readonly log: ServerLog;
  readonly channel: HolderChannel;
}

/** Store, fetcher, views and registries of one server; closing ends the session of the store. Mounts stay. */
export interface Services extends ServicesOptions, AsyncDisposable {
  readonly store: Store;
  readonly keychains: Keychains;
  readonly clients: RegistryClients;
  readonly fetcher: LayerFetcher;
  /** Threads that make layers of their tables of contents. */
  readonly preparation: PreparationThreads;
  readonly uses: LayerUses;
  readonly views: LayerViews;
  readonly counts: EventCounts;
  /** The last layers that snapshotters' clients had to unpack, the newest last. */
  readonly declined: DeclinedSnapshot[];
}

/**
 * Threads of each kind that wait, for reads and for images, 13 MB each: to start them takes a tenth of a second, just when an
 * image is being started.
 */
const STANDBY_WORKERS = 2;
/** Large layers whose tables of contents are made to metadata at once: each takes some ten times their size in memory. */
const PREPARATION_THREADS = 4;
/** With more, memory is for what is known of them. */
const FEW_CHUNKS = 500_000;
/** A server that was killed, or ends, may have the store for so long; then somebody else has it. */
const LOCK_WAIT_MS = 20_000;
const LOCK_PAUSE_MS = 10;

/**
 * Opens the store and goes on with the mounts of the server before.
 *
 * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`, `NO_SPACE`, ...
 */
export async function openServices(options: ServicesOptions): Promise<Services> {
  const { start, config, log, channel } = options;
  await using parts = new DisposableList();
  const counts = new EventCounts();
  const store = parts.use(await openStoreInTurn(options, (event) => noteStoreEvent(event, { log, counts })));
  const environment = processEnvironment();
  const areTold = start.listening.some(({ name }) => name === CREDENTIALS_SOCKET);
  const keychains = parts.use(
    await openKeychains({ config, environment, directory: store.root, log, areTold }),
  );
  const { credentials } = keychains;
  const onWarning = (warning: string): void => log.warn(warning);
  const clients = parts.use(new RegistryClients({ store, config, environment, credentials, onWarning }));
  const standby = (): number => (uses.chunkCount < FEW_CHUNKS ? STANDBY_WORKERS : 0);
  const fetcher: LayerFetcher = parts.use(
    new LayerFetcher({
      store,
      clock: systemClock,
      random: Math.random,
      jobs: config.jobs ?? availableParallelism(),
      keepWorkers: standby,
      openBlob: async (layer) => await clients.openBlob(layer),
      tuning: definedOnly(config.fetch),
      onEvent: (event) => noteFetchEvent(event, { log, counts }),
    }),
  );
  const preparation = parts.use(
    new PreparationThreads({
      threads: Math.min(availableParallelism(), PREPARATION_THREADS),
      idle: { clock: systemClock, keep: standby },
    }),
  );
  const uses = new LayerUses(store, fetcher);
  const views = parts.use(
    await LayerViews.open({
      store,
      fetcher,
      directory: start.settings.store,
      clock: systemClock,
      adopted: start.adopted.filter((fuse) => !isLayerStoreFuse(fuse)),
      keeper: { adopt: (fuse) => channel.adopt(fuse), disown: (id) => channel.disown(id) },
      rootless: process.geteuid?.() !== 0,
      onEvent: (event) => noteViewEvent(event, { log, counts, channel }),
    }),
  );
  const owned = parts.move();
  return {
    ...options,
    store,
    keychains,
    clients,
    fetcher,
    preparation,
    uses,
    views,
    counts,
    declined: [],
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  };
}

/** Opens the store, when the server before has closed it. */
async function openStoreInTurn(
  { start, config }: ServicesOptions,
  onEvent: (event: StoreEvent) => void,
): Promise<Store> {
  const { store: root } = start.settings;
  const options: StoreOptions = {
    clock: systemClock,
    pid: process.pid,
    quotaBytes: config.quotaBytes,
    onEvent,
  };
  const waitMs = start.restarts === 0 ? 0 : LOCK_WAIT_MS;
  const endMs = systemClock.nowMs() + waitMs;
  for (;;) {
    try {
      return await openStore(root, options);
    } catch (error) {
      const isLocked = isEsgzError(error, "STORE_INVALID") && "pid" in error.details;
      if (!isLocked || systemClock.nowMs() > endMs) throw error;
      await systemClock.sleep(LOCK_PAUSE_MS);
    }
  }
}

interface Notes {
  readonly log: ServerLog;
  readonly counts: EventCounts;
}

function noteStoreEvent(event: StoreEvent, { log, counts }: Notes): void {
  counts.note(`store:${event.kind}`);
  switch (event.kind) {
    case "layer-evicted":
      counts.add("evictedBytes", event.bytes);
      log.info(event, "gave up a layer for room");
      break;
    case "chunk-rejected":
    case "content-rejected":
      log.error(event, "what lies on the disk does not match its digest");
      break;
    case "layer-untrusted":
      log.warn(event, "a layer is verified anew before it is used");
      break;
    case "chunk-copied":
      break;
  }
}

function noteFetchEvent(event: FetchEvent, { log, counts }: Notes): void {
  counts.note(`fetch:${event.kind}`);
  switch (event.kind) {
    case "verification-failed":
      log.error(event, "bytes do not match their digest");
      break;
    case "fetch-failed":
      log.warn(event, "a fetch failed");
      break;
    case "disk-full":
      log.warn(event, "no room: serving from memory");
      break;
    case "fetched":
      counts.add(`bytes:${event.priority}`, event.bytes);
      break;
    case "hedged":
      log.debug(event, "a slow connection got a second one beside it");
      break;
  }
}

function noteViewEvent(event: ViewEvent, notes: Notes & { readonly channel: HolderChannel }): void {
  const { log, counts, channel } = notes;
  counts.note(`view:${event.kind}`);
  if (event.kind === "server-failed") {
    log.fatal(event, "a thread that serves mounts failed: another server takes over");
    channel.end("retire");
  } else if (event.kind === "view-changed")
    log.error(event, "files of a mount were changed: mounting it anew");
  else
    log.warn(event, event.kind === "read-failed" ? "a reader got an error" : "cannot clean up after a mount");
}

type Defined<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

function definedOnly<T extends object>(settings: T): Defined<T> {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined),
  ) as Defined<T>;
}

/** The failure of a request to a server that ends. Where another one follows, a client can have that go on. */
export function serverEnds({ isFollowed }: { readonly isFollowed: boolean }): EsgzError {
  return new EsgzError(
    "DAEMON_UNAVAILABLE",
    "Cannot finish: expected the daemon to go on, got its end; the same command may work now",
    { details: { lost: isFollowed } },
  );
}
