/**
 * Which sockets a daemon listens on, beside its own.
 *
 * @module
 */
import type { DaemonConfig } from "./daemon-config.ts";
import type { DaemonSettings } from "./holder-messages.ts";
import { IMAGES_SOCKET, SNAPSHOTS_SOCKET } from "./socket-names.ts";

/** The sockets for a configuration; `address`, from the command line, wins. They are opened once, when the daemon starts. */
export function daemonSockets(
  { keychains, snapshotter }: Pick<DaemonConfig, "keychains" | "snapshotter">,
  options: { readonly address: string | undefined },
): NonNullable<DaemonSettings["sockets"]> {
  const address = options.address ?? snapshotter.address;
  const snapshots = address === undefined ? [] : [{ name: SNAPSHOTS_SOCKET, path: address }];
  const { enabled, listenPath } = keychains.cri;
  const isShared = listenPath === undefined || listenPath === address;
  return enabled && !isShared ? [...snapshots, { name: IMAGES_SOCKET, path: listenPath }] : snapshots;
}
