/**
 * Giving files, directories and links their owner, mode, attributes and times, in the one order that keeps all of them:
 * owner (it clears setuid and capabilities), mode, attributes, times.
 *
 * @module
 */
import { chmodSync, fchmodSync, fchownSync, lchownSync } from "node:fs";
import { systemCodeOf } from "../errors/index.ts";
import { type CallFailure, setFileTimes, setFileXattr, setPathTimes, setPathXattr } from "./native-calls.ts";
import type { OmissionList } from "./omissions.ts";
import type { NodeMetadata } from "./root-nodes.ts";

/** Who pulls, and where what could not be done is counted. */
export interface MetadataContext {
  /** Effective ids of this process: what new files have anyway is not set again. */
  readonly uid: number;
  readonly gid: number;
  /** The bits that the kernel takes off new files' modes; undefined where unknown. */
  readonly umask: number | undefined;
  readonly omissions: OmissionList;
}

/** The mode to open a new file with: no more than its final permissions, and writable while it is written. */
export function creationMode(mode: number): number {
  return mode & 0o777;
}

/** Sets everything on an open file. `fresh` = it was just made with {@linkcode creationMode} and belongs to us. */
export function applyToFile(
  fd: number,
  metadata: NodeMetadata,
  { path, fresh, context }: { path: string | Uint8Array; fresh: boolean; context: MetadataContext },
): void {
  const { uid, gid, mode } = metadata;
  const sameOwner = fresh && uid === context.uid && gid === context.gid;
  if (!sameOwner) setOwner(() => fchownSync(fd, uid, gid), metadata, { path, context });
  const sameMode =
    fresh && sameOwner && context.umask !== undefined && (mode & ~(0o777 & ~context.umask)) === 0;
  if (!sameMode) setMode(() => fchmodSync(fd, mode), { path, context });
  for (const [name, value] of metadata.xattrs) {
    noteXattr(setFileXattr(fd, name, value), { path, name, context });
  }
  setTimes(() => setFileTimes(fd, metadata.mtime), { path, context });
}

/** What of a node {@linkcode applyToPath} sets. */
export interface PathAspects {
  readonly path: Buffer;
  readonly context: MetadataContext;
  /** Symbolic links have no mode. */
  readonly mode: boolean;
  readonly times: boolean;
}

/** Sets owner, mode, attributes and times of what lies at a path; links are not followed. */
export function applyToPath(metadata: NodeMetadata, { path, context, mode, times }: PathAspects): void {
  setOwner(() => lchownSync(path, metadata.uid, metadata.gid), metadata, { path, context });
  if (mode) setMode(() => chmodSync(path, metadata.mode), { path, context });
  for (const [name, value] of metadata.xattrs) {
    noteXattr(setPathXattr(path, name, value), { path, name, context });
  }
  if (times) setTimes(() => setPathTimes(path, metadata.mtime), { path, context });
}

interface Subject {
  readonly path: string | Uint8Array;
  readonly context: MetadataContext;
}

/** Only root can give files away; anyone else keeps them, and it is counted unless they are theirs anyway. */
function setOwner(call: () => void, { uid, gid }: NodeMetadata, { path, context }: Subject): void {
  const wanted = uid !== context.uid || gid !== context.gid;
  if (context.uid !== 0) {
    if (wanted) context.omissions.add("owner", textOf(path), "only root can give files away");
    return;
  }
  attempt("owner", call, { path, context });
}

function setMode(call: () => void, subject: Subject): void {
  attempt("mode", call, subject);
}

function setTimes(call: () => void, subject: Subject): void {
  attempt("times", call, subject);
}

function noteXattr(failure: CallFailure, { path, name, context }: Subject & { readonly name: string }): void {
  if (failure !== undefined) context.omissions.add("xattr", textOf(path), `${name}: ${failure}`);
}

const TOLERATED = new Set(["EPERM", "EINVAL", "ENOTSUP", "EOPNOTSUPP", "ERR_OUT_OF_RANGE"]);

/** Runs a call; refusals that a filesystem or a user namespace may have good reason for are counted. */
function attempt(what: "owner" | "mode" | "times", call: () => void, { path, context }: Subject): void {
  try {
    call();
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === undefined || !TOLERATED.has(code)) throw error;
    context.omissions.add(what, textOf(path), code);
  }
}

function textOf(path: string | Uint8Array): string {
  return typeof path === "string" ? path : Buffer.from(path).toString("utf8");
}
