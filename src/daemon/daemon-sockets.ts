/**
 * Which sockets a daemon listens on, beside its own.
 *
 * @module
 */
import type { DaemonConfig } from "./daemon-config.ts";
import type { ServerStart, SocketPlace } from "./holder-messages.ts";
import { CREDENTIALS_SOCKET, IMAGES_SOCKET, SNAPSHOTS_SOCKET } from "./socket-names.ts";

/** What the command line says. */
export interface SocketOptions {
  /** For snapshots, in place of what is configured. */
  readonly address: string | undefined;
  /** For credentials of additional layer stores. */
  readonly credentials?: string | undefined;
}

/** The sockets for a configuration; the command line wins. */
export function daemonSockets(
  { keychains, snapshotter }: Pick<DaemonConfig, "keychains" | "snapshotter">,
  options: SocketOptions,
): readonly SocketPlace[] {
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

/**
 * What a configuration asks for that was changed since the daemon started: sockets of a kind that it has none of. Those that are open
 * stay where they are. A daemon that a command started serves itself alone.
 */
export function missingSockets(
  config: Pick<DaemonConfig, "keychains" | "snapshotter">,
  { settings, listening }: Pick<ServerStart, "settings" | "listening">,
): readonly SocketPlace[] {
  if (settings.sockets === undefined) return [];
  const address = listening.find(({ name }) => name === SNAPSHOTS_SOCKET)?.path;
  const wanted = daemonSockets(config, { address });
  return wanted.filter(({ name }) => !listening.some((socket) => socket.name === name));
}
