/**
 * Opens what a daemon listens on.
 *
 * @module
 */
import { dirname } from "node:path";
import { makeDirectoriesSync } from "../files/index.ts";
import { daemonFilesOf } from "./daemon-files.ts";
import type { DaemonSettings, SocketPlace } from "./holder-messages.ts";
import {
  assertNobodyListens,
  closeListeningSocket,
  type ListeningSocket,
  openListeningSocket,
} from "./listening-socket.ts";
import type { ActivatedSocket } from "./service-activation.ts";

/**
 * The sockets of a daemon that begins: its own, and those of its settings; what systemd has opened is taken.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `IO_FAILED`, `NOT_SUPPORTED`; none is open then
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
      if (given !== undefined) opened.push({ ...given, path: place.path });
      // The store's own socket is that of whoever has its lock.
      else if (place === control) opened.push(openInDirectory(place));
      else opened.push(openDaemonSocket(place));
    }
    return opened;
  } catch (error) {
    for (const socket of opened) closeListeningSocket(socket);
    throw error;
  }
}

/**
 * One socket that the settings ask for; its directory is made. Another daemon, or another program, may serve there: its clients
 * would find this one in its place.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `IO_FAILED`, `NOT_SUPPORTED`
 */
export function openDaemonSocket(place: SocketPlace): ListeningSocket {
  return openInDirectory(place, assertNobodyListens);
}

function openInDirectory(
  { name, path }: SocketPlace,
  check: (path: string) => void = () => undefined,
): ListeningSocket {
  makeDirectoriesSync(dirname(path), { mode: 0o755 });
  check(path);
  return openListeningSocket(name, path);
}
