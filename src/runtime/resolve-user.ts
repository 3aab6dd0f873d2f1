/**
 * Who a container runs as.
 *
 * ```text
 * /etc/passwd   name:password:uid:gid:comment:home:shell
 * /etc/group    name:password:gid:member,member
 * ```
 *
 * Source: passwd(5), group(5). Names before numbers, as docker has it.
 *
 * @module
 */
import { startError } from "./runtime-error.ts";

/** A user in numbers. */
export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
  /** An absolute path in the container; `/` for users that it does not know. */
  readonly home: string;
}

/** What a root filesystem says about its users. Empty texts where it says nothing. */
export interface UserFiles {
  /** The text of `/etc/passwd`. */
  readonly passwd: string;
  /** The text of `/etc/group`. */
  readonly group: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** The largest id that runtimes take: 2^31 - 1. */
const MAX_ID = 0x7fff_ffff;

/**
 * Resolves `user`, `uid`, `user:group`, `uid:gid` or any mixture; an empty text is root.
 *
 * Without a group the user has its own and all those it is a member of; with one, only that.
 *
 * @throws {EsgzError} `RUNTIME_FAILED` for a name that the files do not have, and for an id beyond 2^31 - 1.
 */
export function resolveUser(text: string, files: UserFiles): ContainerUser {
  const [userText = "", groupText = "", ...rest] = text.split(":");
  if (rest.length > 0) throw startError(`user ${text}: more than one colon`);
  const user = findUser(userText, files.passwd);
  const groups = parseGroup(files.group);
  if (groupText !== "") {
    return { uid: user.uid, gid: findGroup(groupText, groups), additionalGids: [], home: user.home };
  }
  const memberships = groups
    .filter(({ gid, members }) => user.name !== "" && gid !== user.gid && members.includes(user.name))
    .map(({ gid }) => gid);
  return { uid: user.uid, gid: user.gid, additionalGids: [...new Set(memberships)], home: user.home };
}

function findUser(text: string, passwd: string): PasswdEntry {
  const wanted = text === "" ? "0" : text;
  const entries = parsePasswd(passwd);
  const uid = parseId(wanted);
  const found =
    entries.find(({ name }) => name === wanted) ??
    entries.find((entry) => uid !== undefined && entry.uid === uid);
  if (found !== undefined) return found;
  if (uid === undefined) throw startError(`unknown user ${wanted}: not in /etc/passwd of the image`);
  return { name: "", uid, gid: 0, home: uid === 0 ? "/root" : "/" };
}

function findGroup(text: string, groups: readonly GroupEntry[]): number {
  const found = groups.find(({ name }) => name === text)?.gid ?? parseId(text);
  if (found === undefined) throw startError(`unknown group ${text}: not in /etc/group of the image`);
  return found;
}

function parsePasswd(text: string): PasswdEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , uidText = "", gidText = "", , home = ""] = line.trim().split(":");
    const [uid, gid] = [parseId(uidText), parseId(gidText)];
    if (name === "" || uid === undefined || gid === undefined) return [];
    return [{ name, uid, gid, home: home.startsWith("/") ? home : "/" }];
  });
}

function parseGroup(text: string): GroupEntry[] {
  return text.split("\n").flatMap((line) => {
    const [name = "", , gidText = "", members = ""] = line.trim().split(":");
    const gid = parseId(gidText);
    return name === "" || gid === undefined ? [] : [{ name, gid, members: members.split(",") }];
  });
}

/** Undefined for what is no decimal number or too large a one. */
function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  return Number(text) <= MAX_ID ? Number(text) : undefined;
}
