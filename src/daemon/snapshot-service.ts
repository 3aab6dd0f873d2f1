/**
 * The snapshotter of a server, on the socket that its holder keeps.
 *
 * @module
 */
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../async/index.ts";
import { type GrpcServer, serveGrpc } from "../grpc/index.ts";
import {
  type Decline,
  readOverlaySettings,
  routeSnapshots,
  Snapshotter,
  type SnapshotterEvent,
} from "../snapshotter/index.ts";
import type { MountWork } from "./mount-work.ts";
import type { Services } from "./services.ts";
import { SnapshotLayers } from "./snapshot-layers.ts";
import { SNAPSHOTS_SOCKET } from "./socket-names.ts";
import type { StoreWork } from "./store-work.ts";

/** Where snapshots lie in the store. Not where containerd-stargz-grpc has its own: those are another program's. */
const SNAPSHOTS_DIRECTORY = "containerd";

/** With what it works. */
export interface SnapshotServiceOptions {
  readonly services: Services;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
}

/** Serves snapshots until it is closed; mounts stay. */
export class SnapshotService {
  readonly #snapshotter: Snapshotter;
  readonly #layers: SnapshotLayers;
  readonly #server: GrpcServer;

  private constructor(parts: {
    readonly snapshotter: Snapshotter;
    readonly layers: SnapshotLayers;
    readonly server: GrpcServer;
  }) {
    this.#snapshotter = parts.snapshotter;
    this.#layers = parts.layers;
    this.#server = parts.server;
  }

  /** Opens the snapshots of a store and serves them, if there is a socket for it. @throws {EsgzError} as `Snapshotter.open()` */
  static async open(options: SnapshotServiceOptions): Promise<SnapshotService | undefined> {
    const { services } = options;
    const { start, config, log } = services;
    const socket = start.listening.find(({ name }) => name === SNAPSHOTS_SOCKET);
    if (socket === undefined) return undefined;
    await using parts = new AsyncDisposableStack();
    const place = join(start.settings.store, SNAPSHOTS_DIRECTORY);
    await mkdir(place, { recursive: true, mode: 0o711 });
    const root = await realpath(place);
    const layers = parts.use(new SnapshotLayers({ ...options, root }));
    const snapshotter = parts.use(
      await Snapshotter.open({
        root,
        clock: systemClock,
        remote: layers,
        overlaySettings: await readOverlaySettings(),
        verification: config.snapshotter.verification,
        onEvent: (event) => noteSnapshotEvent(event, services),
      }),
    );
    services.views.warm().catch((error: unknown) => log.warn({ err: error }, "cannot mount layers"));
    const routes: Parameters<typeof serveGrpc>[0]["routes"] = (router) => routeSnapshots(router, snapshotter);
    const server = await serveGrpc({ routes, listen: { fd: socket.fd } });
    parts.move();
    log.info({ address: socket.path, root, snapshots: snapshotter.size }, "serving snapshots");
    return new SnapshotService({ snapshotter, layers, server });
  }

  /** How many snapshots there are. */
  get size(): number {
    return this.#snapshotter.size;
  }

  /** The last layers that were not made remote, the newest last. */
  get declines(): readonly Decline[] {
    return this.#snapshotter.declines;
  }

  /** Takes no more calls, answers those that have come within `graceMs`, and writes what is to be written. */
  async close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    await this.#server.close({ signal: AbortSignal.timeout(graceMs) });
    await this.#snapshotter.close();
    await this.#layers[Symbol.asyncDispose]();
  }
}

/** Logs it, with the key that users of containerd-stargz-grpc look for, and counts it. */
function noteSnapshotEvent(event: SnapshotterEvent, { log, counts }: Services): void {
  counts.note(`snapshot:${event.kind}`);
  switch (event.kind) {
    case "remote-prepared":
      counts.add("snapshot:prepare-ms", event.ms);
      log.info({ ...event, "remote-snapshot-prepared": "true" }, "prepared remote snapshot");
      break;
    case "declined":
      log.warn({ ...event, "remote-snapshot-prepared": "false" }, "failed to prepare remote snapshot");
      break;
    case "restored":
      log.debug(event, "a remote snapshot is there again");
      break;
    case "restore-failed":
      log.error(event, "a remote snapshot cannot be used now");
      break;
    case "removal-failed":
      log.warn(event, "cannot remove a snapshot's directory");
      break;
    case "left-over":
      log.info(event, "removing a directory that no snapshot has");
      break;
    default:
      log.error(event, "snapshots are damaged");
  }
}
