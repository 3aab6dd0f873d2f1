/**
 * Giving a new user namespace its ids.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import type { Duplex } from "node:stream";
import { promisify } from "node:util";
import { messageOf } from "../errors/index.ts";
import {
  createIdMapping,
  createSingleIdMapping,
  hasAllIds,
  type IdMapping,
  type IdRange,
} from "./id-mapping.ts";
import { readOwnMapping } from "./own-mapping.ts";
import { startError } from "./runtime-error.ts";

/** Who starts containers, and which programs there are; nothing of it is looked up. */
export interface ContainerHost {
  /** As the environment variable `PATH`. */
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
}

/** The user namespace of a container. */
export interface NamespaceIds {
  readonly mapping: IdMapping;
  /**
   * `current`: esgz itself runs as root of a user namespace, and stays there. `lent`: a new one with the ids that
   * `/etc/subuid` lends. `single`: a new one where only root exists.
   */
  readonly kind: "current" | "lent" | "single";
  /** Whether processes there may choose their groups. */
  readonly setgroups: boolean;
}

const run = promisify(execFile);

/** How a container of this user gets along without being root of the machine; undefined for who is. */
export async function findNamespaceIds(
  { uid, gid }: ContainerHost,
  programs: { readonly newuidmap?: string; readonly newgidmap?: string },
): Promise<NamespaceIds | undefined> {
  if (uid === 0) {
    const mapping = await readOwnMapping();
    if (hasAllIds(mapping)) return undefined;
    const said = await readFile("/proc/self/setgroups", "utf8").catch(() => "");
    return { mapping, kind: "current", setgroups: said.trim() !== "deny" };
  }
  if (programs.newuidmap !== undefined && programs.newgidmap !== undefined) {
    const [subuid, subgid, passwd] = await Promise.all(
      ["/etc/subuid", "/etc/subgid", "/etc/passwd"].map((path) => readFile(path, "utf8").catch(() => "")),
    );
    const name = loginName(passwd ?? "", uid);
    const mapping = createIdMapping({ uid, gid, name, subuid: subuid ?? "", subgid: subgid ?? "" });
    if (mapping !== undefined) return { mapping, kind: "lent", setgroups: true };
  }
  return { mapping: createSingleIdMapping({ uid, gid }), kind: "single", setgroups: false };
}

/**
 * Waits until a process says over `channel` that it has its namespace, gives it its ids, and lets it go on.
 *
 * @throws {EsgzError} `RUNTIME_FAILED`
 */
export async function giveIds(
  child: { readonly pid: number; readonly channel: Duplex },
  { mapping, kind }: NamespaceIds,
  programs: { readonly newuidmap?: string; readonly newgidmap?: string },
): Promise<void> {
  const { pid, channel } = child;
  await namespaceReady(channel);
  try {
    if (kind === "lent" && programs.newuidmap !== undefined && programs.newgidmap !== undefined) {
      await run(programs.newuidmap, [String(pid), ...rangeWords(mapping.uids)]);
      await run(programs.newgidmap, [String(pid), ...rangeWords(mapping.gids)]);
    } else {
      // Without this, nobody but root may map a group.
      await writeFile(`/proc/${pid}/setgroups`, "deny");
      await writeFile(`/proc/${pid}/uid_map`, rangeWords(mapping.uids).join(" "));
      await writeFile(`/proc/${pid}/gid_map`, rangeWords(mapping.gids).join(" "));
    }
  } catch (cause) {
    throw startError(`no ids for its user namespace: ${messageOf(cause).trim()}`, { cause });
  }
  channel.end("go\n");
}

async function namespaceReady(channel: Duplex): Promise<void> {
  // A process that cannot have a namespace ends, and its end of the channel with it.
  const [said] = await Promise.race([once(channel, "data"), once(channel, "end").then(() => [undefined])]);
  if (said === undefined)
    throw startError("no user namespace: the kernel does not allow one", { shown: true });
}

function rangeWords(ranges: readonly IdRange[]): string[] {
  return ranges.flatMap(({ inside, outside, count }) => [String(inside), String(outside), String(count)]);
}

function loginName(passwd: string, uid: number): string | undefined {
  for (const line of passwd.split("\n")) {
    const [name, , id] = line.split(":");
    if (id === String(uid)) return name;
  }
  return undefined;
}
