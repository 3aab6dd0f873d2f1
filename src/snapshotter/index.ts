export { readOverlaySettings } from "./overlay-settings.ts";
export type { RemoteLayers, RemoteMountOptions, RemotePreparation, RemoteRequest } from "./remote-layers.ts";
export type { VerificationPolicy } from "./remote-request.ts";
export type { SnapshotMount } from "./snapshot-mounts.ts";
export type {
  DirectoryOwner,
  Labels,
  RemoteOrigin,
  Snapshot,
  SnapshotKind,
  SnapshotUsage,
} from "./snapshot.ts";
export * from "./snapshots-service.ts";
export type { Decline, SnapshotterEvent } from "./snapshotter-event.ts";
export * from "./snapshotter.ts";
export { readHostsToml } from "./certs-directory.ts";
export { type HostsToml, parseHostsToml } from "./hosts-toml.ts";
export * from "./reference-config.ts";
export * from "./image-service-proxy.ts";
