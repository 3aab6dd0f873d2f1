/**
 * The image service that stands in front of containerd's and learns credentials.
 *
 * @module
 */
import { createUnixTransport, type GrpcRouter } from "../grpc/index.ts";
import { routeImageService } from "../snapshotter/index.ts";
import type { Services } from "./services.ts";

/** The service's routes, and its connection to the real one. */
export interface ImageServiceRoutes extends Disposable {
  readonly routes: (router: GrpcRouter) => void;
}

/** Connects when it is asked first; undefined if it is not configured. */
export function openImageService({ config, keychains }: Services): ImageServiceRoutes | undefined {
  const { learned } = keychains;
  if (learned === undefined || !config.keychains.cri.enabled) return undefined;
  const unix = createUnixTransport({ path: config.keychains.cri.imageServicePath });
  const routes = (router: GrpcRouter): void =>
    routeImageService(router, { backend: unix.transport, credentials: learned });
  return { routes, [Symbol.dispose]: () => unix.close() };
}
