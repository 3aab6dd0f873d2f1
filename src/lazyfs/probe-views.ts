/**
 * Which ways to show a tree this machine takes.
 *
 * @module
 */
import { constants } from "node:fs";
import { access, mkdtemp, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { probeErofsMount } from "../erofs-mount/index.ts";
import { messageOf } from "../errors/index.ts";
import { beginSession, mountFuse } from "../fuse/index.ts";
import type { ViewMethod } from "./mount-record.ts";

/** What works here. */
export interface ViewSupport {
  /** The best way; undefined if none works. */
  readonly method: ViewMethod | undefined;
  /** All ways that work, the best first. */
  readonly methods: readonly ViewMethod[];
  /** Why the others do not work, in words for people. */
  readonly reasons: readonly string[];
  /** Whether the kernel can read backing files of FUSE by itself. Not used: complete layers are mounted without FUSE. */
  readonly passthrough: boolean;
}

const PROGRAM_DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
const SETUID = 0o4000;

/** What to do where no way works. */
export const INSTALL_HINT = "install fuse3 (fusermount3), or run in a user namespace: unshare -Urm";

/** Tries each way in a private directory below `directory`. Nothing is remembered. */
export async function probeViews(
  directory: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ViewSupport> {
  const erofs = await probeErofsMount({ directory, signal: options.signal });
  const fuse = await probeFuse(directory);
  const reasons = [
    ...(erofs.fileBackedReason === undefined ? [] : [`erofs-file: ${erofs.fileBackedReason}`]),
    ...(erofs.loopReason === undefined ? [] : [`erofs-loop: ${erofs.loopReason}`]),
    ...(fuse.reason === undefined ? [] : [`tree: ${fuse.reason}`]),
  ];
  // Without FUSE nothing can be lazy; EROFS still shows what is there.
  const methods: ViewMethod[] = [
    ...(erofs.fileBacked ? (["erofs-file"] as const) : []),
    ...(erofs.loop ? (["erofs-loop"] as const) : []),
    ...(fuse.reason === undefined ? (["tree"] as const) : []),
  ];
  return { method: methods[0], methods, reasons, passthrough: fuse.passthrough };
}

interface FuseProbe {
  readonly reason?: string | undefined;
  readonly passthrough: boolean;
}

async function probeFuse(directory: string): Promise<FuseProbe> {
  try {
    await access("/dev/fuse", constants.R_OK | constants.W_OK);
  } catch (error) {
    return { reason: `expected to open /dev/fuse, got ${messageOf(error)}`, passthrough: false };
  }
  const needsProgram = process.geteuid?.() !== 0;
  if (needsProgram && !(await hasFusermount())) {
    return { reason: `expected fusermount3 with set-user-id, got none: ${INSTALL_HINT}`, passthrough: false };
  }
  const target = await mkdtemp(join(directory, "esgz-probe-"));
  try {
    await using mount = await mountFuse(target);
    const { flags } = beginSession(mount.fd, { passthrough: true });
    return { passthrough: flags.includes("passthrough") && !needsProgram };
  } catch (error) {
    return { reason: messageOf(error), passthrough: false };
  } finally {
    await rmdir(target);
  }
}

async function hasFusermount(): Promise<boolean> {
  for (const directory of PROGRAM_DIRECTORIES) {
    const status = await stat(join(directory, "fusermount3")).catch(() => undefined);
    if (status !== undefined && (status.mode & SETUID) !== 0) return true;
  }
  return false;
}
