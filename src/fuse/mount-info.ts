/**
 * The mounts that this process sees (`/proc/self/mountinfo`, proc_pid_mountinfo(5)).
 *
 *     36 35 98:0 /root /target rw,noatime master:1 - type source options
 *      |  |  |    |     |       |           |         |    |      of the filesystem
 *      |  |  |    |     |       |           none or several fields, then a dash
 *      |  |  |    |     |       of the mount
 *      |  |  |    |     spaces and the like as octal escapes
 *      |  |  |    what of the filesystem is mounted
 *      |  |  device
 *      |  parent
 *      id
 *
 * Looking at the list touches no mount, so a dead one cannot stop it.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { decodePathText } from "../bytes/index.ts";

/** One mount. */
export interface MountInfo {
  readonly id: number;
  /** Major and minor number, as in `0:46`. */
  readonly device: string;
  /** Where it is mounted, as path text. */
  readonly target: string;
  /** The type of filesystem, such as `fuse` or `fuse.esgz`. */
  readonly type: string;
  readonly source: string;
}

/** The mounts of this process's namespace, in the order in which they were made. */
export async function readMounts(options: { readonly signal?: AbortSignal } = {}): Promise<MountInfo[]> {
  const text = await readFile("/proc/self/mountinfo", options);
  return parseMountInfo(decodePathText(text));
}

/** Parses the list; lines that are not of its form are left out. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    const dash = fields.indexOf("-", 6);
    const [id, , device, , target] = fields;
    const [type, source] = dash < 0 ? [] : fields.slice(dash + 1);
    if (id === undefined || device === undefined || target === undefined) continue;
    if (type === undefined || source === undefined) continue;
    mounts.push({ id: Number(id), device, target: unescape(target), type, source: unescape(source) });
  }
  return mounts;
}

function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
