/**
 * The snapshotter of a server, on the socket that its holder keeps.
 *
 * @module
 */
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { DisposableList, systemClock } from "../async/index.ts";
import { type GrpcRouter, type GrpcServer, serveGrpc } from "../grpc/index.ts";
import {
  readOverlaySettings,
  routeSnapshots,
  Snapshotter,
  type SnapshotterEvent,
} from "../snapshotter/index.ts";
import { openImageService } from "./image-service.ts";
import type { MountWork } from "./mount-work.ts";
import type { Services } from "./services.ts";
import { SnapshotLayers } from "./snapshot-layers.ts";
import { IMAGES_SOCKET, SNAPSHOTS_SOCKET } from "./socket-names.ts";
import type { StoreWork } from "./store-work.ts";

/** Where snapshots lie in the store. Not where containerd-stargz-grpc has its own: those are another program's. */
const SNAPSHOTS_DIRECTORY = "containerd";
const KEPT_DECLINES = 20;

/** With what it works. */
export interface SnapshotServiceOptions {
  readonly services: Services;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
}

/** Serves snapshots, and the image service where that is configured, until it is closed; mounts stay. */
export class SnapshotService {
  readonly #servers: readonly GrpcServer[];
  readonly #parts: DisposableList;

  private constructor(parts: { readonly servers: readonly GrpcServer[]; readonly owned: DisposableList }) {
    this.#servers = parts.servers;
    this.#parts = parts.owned;
  }

  /** Opens the snapshots of a store and serves them, if there is a socket for it. @throws {EsgzError} as `Snapshotter.open()` */
  static async open(options: SnapshotServiceOptions): Promise<SnapshotService | undefined> {
    const { services } = options;
    const { start, log } = services;
    const socket = start.listening.find(({ name }) => name === SNAPSHOTS_SOCKET);
    if (socket === undefined) return undefined;
    await using parts = new DisposableList();
    const snapshotter = await openSnapshotter(options, parts);
    options.mounts.addEngine(() => snapshotter.usedMounts());
    services.views.warm().catch((error: unknown) => log.warn({ err: error }, "cannot mount layers"));
    const images = openImageService(services);
    if (images !== undefined) parts.use(images);
    const imagesSocket = start.listening.find(({ name }) => name === IMAGES_SOCKET);
    const routes = (router: GrpcRouter): void => {
      routeSnapshots(router, snapshotter);
      if (imagesSocket === undefined) images?.routes(router);
    };
    const servers = [parts.use(await serveGrpc({ routes, listen: { fd: socket.fd } }))];
    if (imagesSocket !== undefined && images !== undefined) {
      servers.push(parts.use(await serveGrpc({ routes: images.routes, listen: { fd: imagesSocket.fd } })));
    }
    log.info({ address: socket.path, snapshots: snapshotter.size }, "serving snapshots");
    return new SnapshotService({ servers, owned: parts.move() });
  }

  /** Takes no more calls, answers those that have come within `graceMs`, and writes what is to be written. */
  async close({ graceMs }: { readonly graceMs: number }): Promise<void> {
    const signal = AbortSignal.timeout(graceMs);
    await Promise.all(this.#servers.map((server) => server.close({ signal })));
    await this.#parts[Symbol.asyncDispose]();
  }
}

/** The snapshotter over the layers of a store; both are the stack's. */
async function openSnapshotter(options: SnapshotServiceOptions, parts: DisposableList): Promise<Snapshotter> {
  const { services } = options;
  const place = join(services.start.settings.store, SNAPSHOTS_DIRECTORY);
  await mkdir(place, { recursive: true, mode: 0o711 });
  const root = await realpath(place);
  const layers = parts.use(new SnapshotLayers(options));
  return parts.use(
    await Snapshotter.open({
      root,
      clock: systemClock,
      remote: layers,
      overlaySettings: await readOverlaySettings(),
      remapIds: services.config.snapshotter.remapIds,
      verification: services.config.snapshotter.verification,
      onEvent: (event) => noteSnapshotEvent(event, services),
    }),
  );
}

/** Logs it, with the key that users of containerd-stargz-grpc look for, and counts it. */
function noteSnapshotEvent(event: SnapshotterEvent, { log, counts, declined }: Services): void {
  counts.note(`snapshot:${event.kind}`);
  switch (event.kind) {
    case "remote-prepared":
      counts.add("snapshot:prepare-ms", event.ms);
      log.info({ ...event, "remote-snapshot-prepared": "true" }, "prepared remote snapshot");
      break;
    case "declined":
      log.warn({ ...event, "remote-snapshot-prepared": "false" }, "failed to prepare remote snapshot");
      declined.push({
        reference: event.reference,
        digest: event.digest,
        reason: event.reason,
        atMs: event.atMs,
      });
      if (declined.length > KEPT_DECLINES) declined.shift();
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
