/**
 * Which sockets a daemon listens on, beside its own.
 *
 * @module
 */
import type { DaemonConfig } from "./daemon-config.ts";
import type { DaemonSettings } from "./holder-messages.ts";
import { CREDENTIALS_SOCKET, IMAGES_SOCKET, SNAPSHOTS_SOCKET } from "./socket-names.ts";

/** What the command line says. */
export interface SocketOptions {
  /** For snapshots, in place of what is configured. */
  readonly address: string | undefined;
  /** For credentials of additional layer stores. */
  readonly credentials?: string | undefined;
}

/** The sockets for a configuration; the command line wins. They are opened once, when the daemon starts. */
export function daemonSockets(
  { keychains, snapshotter }: Pick<DaemonConfig, "keychains" | "snapshotter">,
  options: SocketOptions,
): NonNullable<DaemonSettings["sockets"]> {
  const address = options.address ?? snapshotter.address;
  const { credentials } = options;
  const given = [
    ...(address === undefined ? [] : [{ name: SNAPSHOTS_SOCKET, path: address }]),
    ...(credentials === undefined ? [] : [{ name: CREDENTIALS_SOCKET, path: credentials }]),
  ];
  const { enabled, listenPath } = keychains.cri;
  const isShared = listenPath === undefined || listenPath === address;
  return enabled && !isShared ? [...given, { name: IMAGES_SOCKET, path: listenPath }] : given;
}
