/**
 * Stands in front of a node's image service and learns which credentials images are pulled with.
 *
 * The kubelet tells credentials with each pull, and nobody else; layers that are fetched later need them too. So the kubelet's
 * `--image-service-endpoint` points here. Everything is passed on as it came, fields that are not known here included.
 *
 * @module
 */
import {
  type AuthConfig,
  type CallContext,
  ConnectError,
  type GrpcRouter,
  createClient,
  ImageService,
  type Transport,
} from "../grpc/index.ts";
import type { Credential } from "../registry/index.ts";

/** Where learned credentials go, by the image's name exactly as the kubelet writes it. */
export interface ImageCredentials {
  /** Called before the pull begins. Without credential: the image is pulled without one now. */
  learn(image: string, credential: Credential | undefined): Promise<void>;
  /** The pull with it failed: what was known before counts again. */
  refuse(image: string, credential: Credential | undefined): Promise<void>;
  /** The image was removed. */
  forget(image: string): Promise<void>;
}

/** Whom to ask, and who listens. */
export interface ImageServiceProxyOptions {
  /** To the real image service. */
  readonly backend: Transport;
  readonly credentials: ImageCredentials;
}

/** Names of the protocol itself: each connection has its own. */
const OWN_HEADERS = /^(:|grpc-|te$|content-|user-agent$|connection$|host$|accept)/;

/** Registers the image service of the CRI. */
export function routeImageService(router: GrpcRouter, options: ImageServiceProxyOptions): void {
  const { credentials } = options;
  const backend = createClient(ImageService, options.backend);
  router.service(ImageService, {
    listImages: (request, context) => passedBack(backend.listImages(request, passedOn(context))),
    imageStatus: (request, context) => passedBack(backend.imageStatus(request, passedOn(context))),
    imageFsInfo: (request, context) => passedBack(backend.imageFsInfo(request, passedOn(context))),
    pullImage: async (request, context) => {
      const image = request.image?.image ?? "";
      const credential = credentialFrom(request.auth);
      // Before the pull: it is the pull that asks for the image's layers.
      if (image !== "") await credentials.learn(image, credential);
      try {
        return await passedBack(backend.pullImage(request, passedOn(context)));
      } catch (error) {
        if (image !== "") await credentials.refuse(image, credential);
        throw error;
      }
    },
    removeImage: async (request, context) => {
      const response = await passedBack(backend.removeImage(request, passedOn(context)));
      const image = request.image?.image ?? "";
      if (image !== "") await credentials.forget(image);
      return response;
    },
  });
}

/** The credential that a kubelet's message holds; undefined if it holds none. Pure. */
export function credentialFrom(auth: AuthConfig | undefined): Credential | undefined {
  if (auth === undefined) return undefined;
  if (auth.registryToken !== "") return { registryToken: auth.registryToken };
  if (auth.identityToken !== "") return { identityToken: auth.identityToken };
  if (auth.username !== "") return { username: auth.username, password: auth.password };
  const text = Buffer.from(auth.auth, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon < 1) return undefined;
  // Docker pads with zeros.
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, "") };
}

/** Failures keep status and message; what belonged to the backend's connection does not belong to this one. */
async function passedBack<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ConnectError) throw new ConnectError(error.rawMessage, error.code);
    throw error;
  }
}

function passedOn({ requestHeader, signal, timeoutMs }: CallContext): {
  headers: Headers;
  signal: AbortSignal;
  timeoutMs?: number;
} {
  const headers = new Headers([...requestHeader].filter(([name]) => !OWN_HEADERS.test(name)));
  return { headers, signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}
