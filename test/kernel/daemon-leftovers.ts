/**
 * For tests: what a daemon has left behind.
 */
import { readdirSync, readFileSync } from "node:fs";

/** Mounts, loop devices, processes and sockets that have to do with a directory; none if all were closed. */
export function leftoversOf(base: string): readonly string[] {
  return [
    ...mountsBelow(base).map((target) => `mount ${target}`),
    ...loopDevices(base).map((file) => `loop device of ${file}`),
    ...processes(base).map((pid) => `process ${pid}`),
    ...sockets(base).map((path) => `socket ${path}`),
  ];
}

/** The mount points at a directory and below it, those inside others last. */
export function mountsBelow(base: string): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .map((target) =>
      target.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    )
    .filter((target) => `${target}/`.startsWith(`${base}/`));
}

function loopDevices(base: string): readonly string[] {
  return names("/sys/block")
    .filter((name) => name.startsWith("loop"))
    .map((name) => textOf(`/sys/block/${name}/loop/backing_file`).trim())
    .filter((file) => file.startsWith(`${base}/`));
}

function processes(base: string): readonly string[] {
  return names("/proc").filter(
    (name) =>
      /^\d+$/.test(name) && Number(name) !== process.pid && textOf(`/proc/${name}/cmdline`).includes(base),
  );
}

function sockets(base: string): readonly string[] {
  return textOf("/proc/net/unix")
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf(" ") + 1))
    .filter((path) => path.startsWith(`${base}/`));
}

/** The number of descriptors that a process has open. */
export function descriptorsOf(pid: number): number {
  return names(`/proc/${pid}/fd`).length;
}

function names(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
