/**
 * What systemd tells a service, and what a service tells systemd.
 *
 * | variable | meaning |
 * | --- | --- |
 * | `LISTEN_PID` | the process that the next two are for |
 * | `LISTEN_FDS` | the number of sockets, which are the descriptors from 3 on |
 * | `LISTEN_FDNAMES` | their names, separated by colons: `FileDescriptorName=` |
 * | `NOTIFY_SOCKET` | where states are sent, as datagrams; `@` begins an abstract name |
 *
 * Source: sd_listen_fds(3), sd_notify(3).
 *
 * @module
 */
import { loadNativeCalls } from "./native-calls.ts";

type Variables = Readonly<Record<string, string | undefined>>;

/** A socket that was handed to this process. */
export interface ActivatedSocket {
  readonly name: string;
  readonly fd: number;
}

const FIRST_FD = 3;

/** The variables of this protocol; children must not see them. */
export const SERVICE_VARIABLES: readonly string[] = [
  "LISTEN_PID",
  "LISTEN_FDS",
  "LISTEN_FDNAMES",
  "NOTIFY_SOCKET",
  "WATCHDOG_PID",
  "WATCHDOG_USEC",
];

/** The sockets that systemd opened for this process; one without a name is `control`. */
export function activatedSockets(variables: Variables, pid: number): readonly ActivatedSocket[] {
  if (Number(variables["LISTEN_PID"]) !== pid) return [];
  const count = Number(variables["LISTEN_FDS"]);
  if (!Number.isSafeInteger(count) || count < 1 || count > 64) return [];
  const names = (variables["LISTEN_FDNAMES"] ?? "").split(":");
  return Array.from({ length: count }, (_, index) => ({
    name: nameOf(names[index]),
    fd: FIRST_FD + index,
  }));
}

/** Tells systemd a state: `READY=1`, `RELOADING=1`, `STOPPING=1`, `STATUS=...`. Nobody listens: nothing happens. */
export function notifyService(variables: Variables, state: readonly string[]): void {
  const path = variables["NOTIFY_SOCKET"];
  if (path === undefined || path === "") return;
  loadNativeCalls().sendDatagram(path, state.join("\n"));
}

function nameOf(text: string | undefined): string {
  // Without FileDescriptorName= the name is that of the socket unit.
  return text === undefined || text === "" || text === "unknown" || text.endsWith(".socket")
    ? "control"
    : text;
}
