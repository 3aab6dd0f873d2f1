/**
 * Which EROFS mounts this machine takes, by trying.
 *
 * @module
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileErofs, type ErofsDirectory } from "../erofs/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { mountErofs, type ErofsMountMethod } from "./mount-erofs.ts";
import { unmountBelow } from "./unmount.ts";

/** How to probe. */
export interface ProbeOptions {
  /**
   * Where a private directory is made for the attempts, and gone when they are over. Kernels take files of some filesystems
   * and not of others: best where the real files will lie. Default: the system's directory for temporary files.
   */
  readonly directory?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What works here. */
export interface ErofsMountSupport {
  /** Images and devices can be files (Linux 6.12). */
  readonly fileBacked: boolean;
  /** Images and devices can be files behind loop devices. */
  readonly loop: boolean;
  /** The better way that works; undefined if none does. */
  readonly method: ErofsMountMethod | undefined;
  /** Why a way does not work, in words for people; undefined for a way that does. */
  readonly fileBackedReason?: string | undefined;
  readonly loopReason?: string | undefined;
}

const DEVICE_SIZE = 4096;
const CONTENT = "probe";

/**
 * Mounts a small image with a data device in each way, reads a file of it, and unmounts it. The answer holds for this process
 * and this machine as they are; nothing is remembered.
 *
 * @throws only what is no answer: the signal's reason, or `IO_FAILED` if the files for the attempts cannot be made.
 */
export async function probeErofsMount(options: ProbeOptions = {}): Promise<ErofsMountSupport> {
  const { directory = tmpdir(), signal } = options;
  const root = await makeFiles(directory);
  try {
    const fileBackedReason = await tryMethod(root, "file", signal);
    const loopReason = await tryMethod(root, "loop", signal);
    const fileBacked = fileBackedReason === undefined;
    const loop = loopReason === undefined;
    return {
      fileBacked,
      loop,
      method: fileBacked ? "file" : loop ? "loop" : undefined,
      fileBackedReason,
      loopReason,
    };
  } finally {
    await unmountBelow(root, { lazy: true });
    await rm(root, { recursive: true, force: true });
  }
}

/** The reason why a method does not work, or undefined. */
async function tryMethod(
  root: string,
  method: ErofsMountMethod,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  signal?.throwIfAborted();
  const directory = join(root, "target");
  try {
    await using _mount = await mountErofs({
      meta: join(root, "meta"),
      devices: [join(root, "data")],
      directory,
      method,
      signal,
    });
    const content = await readFile(join(directory, "file"), "utf8");
    return content === CONTENT ? undefined : "the kernel mounts it but reads other bytes";
  } catch (error) {
    signal?.throwIfAborted();
    return messageOf(error);
  }
}

async function makeFiles(parent: string): Promise<string> {
  try {
    const root = await mkdtemp(join(parent, "esgz-probe-"));
    await mkdir(join(root, "target"));
    const data = new Uint8Array(DEVICE_SIZE);
    data.set(new TextEncoder().encode(CONTENT));
    await writeFile(join(root, "data"), data);
    await writeFile(
      join(root, "meta"),
      compileErofs(probeTree(), { devices: [{ size: DEVICE_SIZE }] }).bytes,
    );
    return root;
  } catch (cause) {
    const text = `Cannot probe EROFS mounts in "${parent}": expected a writable directory, got ${messageOf(cause)}`;
    throw new EsgzError("IO_FAILED", text, { cause });
  }
}

function probeTree(): ErofsDirectory {
  const attributes = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 } };
  const extents = [{ fileOffset: 0, size: CONTENT.length, device: 0, deviceOffset: 0 }];
  const file = { ...attributes, type: "reg", size: CONTENT.length, extents } as const;
  return { ...attributes, type: "dir", children: new Map([["file", file]]) };
}
