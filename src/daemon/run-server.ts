/**
 * Runs a server as this process: all that the daemon does but keep descriptors.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import type { GrpcServer } from "../grpc/index.ts";
import { ControlServer } from "./control-server.ts";
import { controlRoutes, metricsRoute } from "./control-routes.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import { missingSockets } from "./daemon-sockets.ts";
import { type HolderChannel, type ServerEnd } from "./holder-channel.ts";
import type { ServerStart } from "./holder-messages.ts";
import { IdleWatch } from "./idle-watch.ts";
import { ImageWork } from "./image-work.ts";
import { LayerStores } from "./layer-stores.ts";
import { MemoryTrim } from "./memory-trim.ts";
import { MountWork } from "./mount-work.ts";
import { Practice } from "./practice.ts";
import { loadServerConfig, readSettings } from "./server-config.ts";
import { createServerLog, type ServerLog } from "./server-log.ts";
import { openServices, serverEnds, type Services } from "./services.ts";
import type { SnapshotService } from "./snapshot-service.ts";
import { CREDENTIALS_SOCKET, SNAPSHOTS_SOCKET } from "./socket-names.ts";
import { StoreWork } from "./store-work.ts";
import { startSuccessor } from "./successor.ts";
import { Upkeep } from "./upkeep.ts";

/**
 * Serves until the holder says otherwise, or is gone.
 *
 * @throws {EsgzError} if it cannot begin: `CONFIGURATION_INVALID`, `STORE_INVALID`, `IO_FAILED`, ...
 */
export async function runServer(channel: HolderChannel): Promise<void> {
  const start = await channel.start;
  const { config, warnings, problem } = await loadServerConfig(start);
  const log = createServerLog(config.logLevel);
  for (const warning of warnings) log.warn(warning);
  if (problem !== undefined)
    log.error({ err: problem }, "cannot use the configuration: going on with the last one");
  const services = await openServices({ start, config, log, channel });
  try {
    await serve(services);
  } catch (error) {
    await services[Symbol.asyncDispose]();
    throw error;
  }
}

async function serve(services: Services): Promise<void> {
  const { start, config, log, channel } = services;
  const restored = await services.views.restore();
  logRestored(restored, log);
  const work = createWork(services);
  const { control, mounts, upkeep } = work;
  // Before anybody is answered: a store that is asked for again would be mounted over the one that stands.
  await mounts.resume(restored);
  await work.stores.resume();
  for (const { name, fd } of start.listening) if (name === "control") await control.listen({ fd });
  const metrics = await listenForMetrics(services, work);
  const snapshots = await openSnapshots(services, work);
  const credentials = await openCredentials(services);
  using idle = watchIdleness(services, work);
  using trim = new MemoryTrim(() => control.active > 0 || isFetching(services));
  using practice = start.restarts === 0 ? new Practice(services, () => control.active > 0) : undefined;
  control.onActivity = () => {
    idle?.touch();
    trim.touch();
    practice?.stepAside();
  };
  holdRetirement(services);
  channel.send({ kind: "ready", config: JSON.stringify(config) });
  log.info({ store: start.settings.store, restarts: start.restarts }, "serving");
  askForSockets(services);
  upkeep.beginReverifying();
  const end = await channel.ended;
  log.info({ end }, "ending");
  // Whoever announced a mount may be waiting for the next server.
  mounts.endAnnouncements();
  // What it practises with ends before it would.
  practice?.[Symbol.dispose]();
  if (end === "orphan") startSuccessor(start, { sessions: channel.sessions, config: JSON.stringify(config) });
  const isFollowed = end !== "stop";
  // Who came just as nobody was there may come again: there is another daemon then.
  const reason = serverEnds({ isFollowed: isFollowed || idle?.isOver === true });
  const closing = { graceMs: isFollowed ? config.graceMs : 0, reason };
  await Promise.all([
    control.close(closing),
    metrics?.close(closing),
    snapshots?.close(closing),
    credentials?.close({ signal: AbortSignal.timeout(closing.graceMs) }),
  ]);
  await finish(services, work, end);
}

/** The holder opens them, and starts another server. */
function askForSockets({ start, config, log, channel }: Services): void {
  const sockets = missingSockets(config, start);
  if (sockets.length === 0) return;
  log.info({ sockets }, "the configuration asks for more sockets: another server will have them");
  channel.send({ kind: "listen", sockets });
}

interface ServerWork {
  readonly control: ControlServer;
  readonly images: ImageWork;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
  readonly stores: LayerStores;
  readonly upkeep: Upkeep;
}

function createWork(services: Services): ServerWork {
  const images = new ImageWork(services);
  const mounts = new MountWork(services, images);
  const stored = new StoreWork(services, images);
  const stores = new LayerStores({ services, mounts, stored });
  const onFailure = failureLog(services.log);
  const control: ControlServer = new ControlServer({
    routes: controlRoutes({ services, images, mounts, stored, stores, served: () => control.served }),
    onFailure,
  });
  return { control, images, mounts, stored, stores, upkeep: new Upkeep(services, () => control.served) };
}

/** Snapshots for containerd and BuildKit, where there is a socket for them; others do not pay for it. */
async function openSnapshots(
  services: Services,
  { mounts, stored }: ServerWork,
): Promise<SnapshotService | undefined> {
  if (!services.start.listening.some(({ name }) => name === SNAPSHOTS_SOCKET)) return undefined;
  const { SnapshotService } = await import("./snapshot-service.ts");
  return await SnapshotService.open({ services, mounts, stored });
}

/** Where credentials for additional layer stores are told, if that is anywhere. */
async function openCredentials({ start, keychains }: Services): Promise<GrpcServer | undefined> {
  const { learned } = keychains;
  const socket = start.listening.find(({ name }) => name === CREDENTIALS_SOCKET);
  if (socket === undefined || learned === undefined) return undefined;
  const { serveCredentials } = await import("./told-credentials.ts");
  return await serveCredentials(learned, { fd: socket.fd });
}

/** Metrics on an address of their own, as Prometheus wants them. */
async function listenForMetrics(
  services: Services,
  { control }: ServerWork,
): Promise<ControlServer | undefined> {
  const { metricsListen } = services.config;
  if (metricsListen === undefined) return undefined;
  const server = new ControlServer({
    routes: [metricsRoute({ services, served: () => control.served })],
    onFailure: (error, request) => {
      // Anybody may ask for anything there.
      const isTheirs = isEsgzError(error, "NOT_SUPPORTED") || isEsgzError(error, "REQUEST_INVALID");
      services.log[isTheirs ? "debug" : "warn"]({ err: error, request }, "a request failed");
    },
  });
  try {
    await server.listen(addressIn(metricsListen));
    return server;
  } catch (error) {
    // Readers of mounts wait for this server: metrics are not worth its end.
    if (services.start.restarts === 0) throw error;
    services.log.error({ err: error, address: metricsListen }, "cannot serve metrics");
    return undefined;
  }
}

function addressIn(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(":");
  const host = text.slice(0, colon).replace(/^\[|\]$/g, "");
  return { host: host === "" ? "0.0.0.0" : host, port: Number(text.slice(colon + 1)) };
}

function failureLog(log: ServerLog): (error: unknown, request: string) => void {
  return (error, request) => log.warn({ err: error, request }, "a request failed");
}

function watchIdleness(services: Services, { control, mounts, stores }: ServerWork): IdleWatch | undefined {
  const idleMs = idleMsOf(services.start, services.config);
  if (idleMs === undefined) return undefined;
  return new IdleWatch({
    idleMs,
    isBusy: () => control.active > 0 || mounts.isNeeded || stores.directories.length > 0,
    onIdle: () => {
      services.log.info({ idleMs }, "nothing to do");
      services.channel.send({ kind: "stop", why: "idle" });
    },
  });
}

function isFetching({ fetcher }: Services): boolean {
  const { transfers, jobs, reads } = fetcher.statistics().queueLengths;
  return transfers + jobs + reads > 0;
}

function idleMsOf({ settings }: ServerStart, config: DaemonConfig): number | undefined {
  const idleMs = settings.idleExitMs ?? config.idleExitMs;
  return settings.autoStarted === true && idleMs > 0 ? idleMs : undefined;
}

/** Another server could not begin with a configuration that cannot be used: this one stays then. */
function holdRetirement({ channel, start, log }: Services): void {
  channel.holdRetirement = async () => {
    try {
      await readSettings(start.settings);
      return false;
    } catch (error) {
      log.error({ err: error }, "no other server is started: the configuration cannot be used");
      return true;
    }
  };
}

/** Mounts that this server leaves stay, with readers that wait; unless all is to end. */
async function finish(
  services: Services,
  { mounts, stores, upkeep }: ServerWork,
  end: ServerEnd,
): Promise<void> {
  if (end === "stop") await stores.removeAll();
  await stores[Symbol.asyncDispose]();
  await mounts[Symbol.asyncDispose]();
  await upkeep[Symbol.asyncDispose]();
  if (end === "stop") {
    // Those that are in use go on to work as long as they need nobody, and fail where they would wait.
    const left = await mounts.unmountAll("end");
    for (const { id, method } of left) {
      if (method !== "local") await mounts.unmount(id, { lazy: true });
    }
  }
  await services.uses.settled();
  await services[Symbol.asyncDispose]();
  services.log.info("ended");
}

function logRestored(report: Awaited<ReturnType<Services["views"]["restore"]>>, log: ServerLog): void {
  const { kept, remade, dropped, failed } = report;
  if (kept.length + remade.length + dropped.length > 0) log.info({ kept, remade, dropped }, "found mounts");
  for (const { id, message } of failed) log.error({ id, message }, "cannot go on with a mount");
}
