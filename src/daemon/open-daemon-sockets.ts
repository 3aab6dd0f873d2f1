/**
 * Opens what a daemon listens on.
 *
 * @module
 */
import { dirname } from "node:path";
import { makeDirectoriesSync } from "../files/index.ts";
import { daemonFilesOf } from "./daemon-files.ts";
import type { DaemonSettings, SocketPlace } from "./holder-messages.ts";
import { closeListeningSocket, type ListeningSocket, openListeningSocket } from "./listening-socket.ts";
import type { ActivatedSocket } from "./service-activation.ts";

/**
 * The sockets of a daemon that begins: its own, and those of its settings; what systemd has opened is taken.
 *
 * @throws {EsgzError} `IO_FAILED`, `NOT_SUPPORTED`; none is open then
 */
export function openDaemonSockets({
  settings,
  activated = [],
}: {
  readonly settings: DaemonSettings;
  readonly activated?: readonly ActivatedSocket[];
}): readonly ListeningSocket[] {
  const control = { name: "control", path: daemonFilesOf(settings.store).control };
  const opened: ListeningSocket[] = [];
  try {
    for (const place of [control, ...(settings.sockets ?? [])]) {
      const given = activated.find(({ name }) => name === place.name);
      opened.push(given === undefined ? openDaemonSocket(place) : { ...given, path: place.path });
    }
    return opened;
  } catch (error) {
    for (const socket of opened) closeListeningSocket(socket);
    throw error;
  }
}

/** One socket; its directory is made. @throws {EsgzError} `IO_FAILED`, `NOT_SUPPORTED` */
export function openDaemonSocket({ name, path }: SocketPlace): ListeningSocket {
  makeDirectoriesSync(dirname(path), { mode: 0o755 });
  return openListeningSocket(name, path);
}
