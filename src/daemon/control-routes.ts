/**
 * The requests of the control protocol, each one call.
 *
 * @module
 */
import { EsgzError, messageOf } from "../errors/index.ts";
import { metricsOf } from "./collect-metrics.ts";
import type { DaemonInfo } from "./control-protocol.ts";
import type { ControlRoute } from "./control-server.ts";
import { assertAbsolute, type ImageWork } from "./image-work.ts";
import type { LayerStores } from "./layer-stores.ts";
import type { MountWork } from "./mount-work.ts";
import { packageVersion } from "./package-version.ts";
import {
  parseAnnounceRequest,
  parseLayerStoreRequest,
  parseMountRequest,
  parsePruneRequest,
  parsePullRequest,
  parseStopRequest,
} from "./request-bodies.ts";
import type { Services } from "./services.ts";
import { SNAPSHOTS_SOCKET } from "./socket-names.ts";
import type { StoreWork } from "./store-work.ts";

/** What the requests are about. */
export interface ControlSubjects {
  readonly services: Services;
  readonly images: ImageWork;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
  readonly stores: LayerStores;
  /** Requests that were answered, for the metrics. */
  readonly served: () => number;
}

/** All requests. */
export function controlRoutes(subjects: ControlSubjects): readonly ControlRoute[] {
  return [
    ...daemonRoutes(subjects),
    ...imageRoutes(subjects),
    ...mountRoutes(subjects),
    ...layerStoreRoutes(subjects),
  ];
}

/** The request of the metrics, for an address of its own too. */
export function metricsRoute({
  services,
  served,
}: Pick<ControlSubjects, "services" | "served">): ControlRoute {
  const handle = async (): Promise<string> => await metricsOf(services, { controlRequests: served() });
  return { method: "GET", path: "/metrics", answer: "text", handle };
}

function daemonRoutes(subjects: ControlSubjects): readonly ControlRoute[] {
  const { services, mounts } = subjects;
  return [
    {
      method: "GET",
      path: "/v1/info",
      answer: "json",
      handle: async (): Promise<DaemonInfo> => await infoOf(services),
    },
    {
      method: "POST",
      path: "/v1/stop",
      answer: "json",
      handle: async ({ body }) => {
        const { force = false } = parseStopRequest(body);
        const left = await mounts.unmountAll(force ? "force" : "unused");
        if (left.some(({ method }) => method !== "local"))
          throw stillMounted(left.map(({ directory }) => directory));
        services.channel.send({ kind: "stop", why: "asked" });
      },
    },
    {
      method: "POST",
      path: "/v1/renew",
      answer: "json",
      handle: () => services.channel.send({ kind: "renew" }),
    },
    metricsRoute(subjects),
  ];
}

function imageRoutes({ images, stored }: ControlSubjects): readonly ControlRoute[] {
  return [
    {
      method: "POST",
      path: "/v1/pull",
      answer: "events",
      handle: async ({ body, ...work }) => {
        const request = parsePullRequest(body);
        assertAbsolute(request.reference);
        return await images.pull(request, work);
      },
    },
    { method: "GET", path: "/v1/images", answer: "json", handle: async () => await stored.images() },
    {
      method: "DELETE",
      path: "/v1/images",
      answer: "json",
      handle: ({ query }) =>
        stored.remove(required(query, "name"), { platform: query.get("platform") ?? undefined }),
    },
    { method: "GET", path: "/v1/usage", answer: "json", handle: async () => await stored.usage() },
    {
      method: "POST",
      path: "/v1/prune",
      answer: "json",
      handle: async ({ body, signal }) => await stored.prune(parsePruneRequest(body), { signal }),
    },
  ];
}

function mountRoutes({ mounts }: ControlSubjects): readonly ControlRoute[] {
  return [
    {
      method: "POST",
      path: "/v1/mounts",
      answer: "events",
      handle: async ({ body, ...work }) => {
        const request = parseMountRequest(body);
        assertAbsolute(request.reference);
        return await mounts.mount(request, work);
      },
    },
    {
      method: "POST",
      path: "/v1/announcements",
      answer: "json",
      handle: async ({ body, signal }) => {
        const request = parseAnnounceRequest(body);
        assertAbsolute(request.reference);
        await mounts.announce(request, { signal });
      },
    },
    { method: "GET", path: "/v1/mounts", answer: "json", handle: async () => await mounts.list() },
    {
      method: "DELETE",
      path: "/v1/mounts",
      answer: "json",
      handle: async ({ query }) =>
        await mounts.unmount(required(query, "target"), {
          lazy: query.get("lazy") === "1",
          ownerPid: Number(query.get("owner") ?? 0),
        }),
    },
  ];
}

function layerStoreRoutes({ stores }: ControlSubjects): readonly ControlRoute[] {
  const path = "/v1/layer-stores";
  return [
    {
      method: "POST",
      path,
      answer: "json",
      handle: async ({ body }) => await stores.serve(parseLayerStoreRequest(body).directory),
    },
    { method: "GET", path, answer: "json", handle: () => stores.directories },
    {
      method: "DELETE",
      path,
      answer: "json",
      handle: async ({ query }) => await stores.remove(required(query, "directory")),
    },
  ];
}

async function infoOf({ declined, start, views }: Services): Promise<DaemonInfo> {
  const socket = start.listening.find(({ name }) => name === SNAPSHOTS_SOCKET);
  // Trying takes a little room on the disk: without it, a daemon can be asked and stopped all the same.
  const { method, reasons, passthrough } = await views.probe().catch((error: unknown) => ({
    method: undefined,
    reasons: [messageOf(error)],
    passthrough: false,
  }));
  return {
    version: packageVersion(),
    pid: process.pid,
    holderPid: start.holderPid,
    store: start.settings.store,
    startedMs: start.startedMs,
    restarts: start.restarts,
    view: { ...(method === undefined ? {} : { method }), reasons, passthrough },
    mounts: views.mounts().length,
    ...(socket === undefined ? {} : { snapshots: { address: socket.path, declined } }),
  };
}

function required(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value !== null && value !== "") return value;
  throw new EsgzError("REQUEST_INVALID", `Cannot read request: expected a parameter "${name}", got none`);
}

function stillMounted(directories: readonly string[]): EsgzError {
  return new EsgzError(
    "PRECONDITION_FAILED",
    `Cannot stop the daemon: expected that nobody uses its mounts, got users of ${directories.map((path) => `"${path}"`).join(", ")}`,
  );
}
