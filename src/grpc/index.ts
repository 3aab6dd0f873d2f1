export type { CallContext } from "./call-context.ts";
export * from "./containerd-metadata.ts";
export { grpcStatusOf } from "./error-status.ts";
export {
  type AuthConfig,
  ImageService,
  type ImageSpec,
  type PullImageRequest,
  type RemoveImageRequest,
} from "./gen/image-service_pb.ts";
export { Controller } from "./gen/layer-store_pb.ts";
export { type Mount, MountSchema } from "./gen/mount_pb.ts";
export { type Info, InfoSchema, Kind, Snapshots } from "./gen/snapshots_pb.ts";
export type { GrpcRouter, ServiceHandlers, StreamHandler, UnaryHandler } from "./grpc-router.ts";
export { MAX_MESSAGE_BYTES } from "./limits.ts";
export * from "./serve-grpc.ts";
export type { ListenPlace } from "./unix-socket.ts";
export * from "./unix-transport.ts";
export { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
