/**
 * Mounts FUSE filesystems and unmounts them.
 *
 * @module
 */
import { closeSync, constants, openSync } from "node:fs";
import { realpath } from "node:fs/promises";
import { EsgzError, messageOf } from "../errors/index.ts";
import { mountByCommand, mountByFusermount, unmountByCommand } from "./mount-commands.ts";
import { readMounts, type MountInfo } from "./mount-info.ts";
import { planMount, type FuseMountOptions, type MountPlan } from "./mount-options.ts";
import { loadNativeCalls } from "./native-calls.ts";

const DEVICE = "/dev/fuse";
const MNT_DETACH = 2;

/** How a mount is taken away. */
export interface UnmountOptions {
  /** At once, also while files are open: those go on to work until they are closed. Default: false. */
  readonly lazy?: boolean;
  readonly signal?: AbortSignal;
}

/** A mounted device. Disposing unmounts lazily, if it is still mounted, and closes the descriptor. */
export class FuseMount implements AsyncDisposable {
  /** The device: for `serveFuse()`, and for children that inherit it. */
  readonly fd: number;
  /** The absolute path. */
  readonly target: string;
  readonly #info: MountInfo;
  readonly #method: Method;
  #isClosed = false;

  /** @internal */
  constructor(mount: { readonly fd: number; readonly info: MountInfo; readonly method: Method }) {
    this.fd = mount.fd;
    this.target = mount.info.target;
    this.#info = mount.info;
    this.#method = mount.method;
  }

  /** Whether it is still there: does not ask the filesystem. */
  async isMounted(options: { readonly signal?: AbortSignal } = {}): Promise<boolean> {
    const { id, device, target } = this.#info;
    const mounts = await readMounts(options);
    return mounts.some((mount) => mount.id === id && mount.device === device && mount.target === target);
  }

  /**
   * Takes the mount away; the descriptor stays open. Without effect if it is gone already.
   *
   * @throws {EsgzError} `MOUNT_FAILED` if the kernel refuses, such as for open files.
   */
  async unmount(options: UnmountOptions = {}): Promise<void> {
    if (!(await this.isMounted(options))) return;
    await unmountFuse(this.target, { ...options, method: this.#method });
  }

  /** Closes the descriptor: where no other process has it, all requests fail with ENOTCONN from then on. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.unmount({ lazy: true });
    } finally {
      this.close();
    }
  }
}

type Method = "call" | "command" | "fusermount";

/**
 * Mounts on a directory. Nobody serves it yet: who looks at it waits.
 *
 * @throws {EsgzError} `MOUNT_FAILED`; details have the method, and the errno where there is one.
 */
export async function mountFuse(target: string, options: FuseMountOptions = {}): Promise<FuseMount> {
  options.signal?.throwIfAborted();
  const place = await resolveTarget(target);
  const ids = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const method = options.method ?? chooseMethod(ids.uid);
  const plan = planMount(options, ids);
  const fd = method === "fusermount" ? await mountByFusermount(place, options) : openDevice(place);
  try {
    if (method === "call") mountByCall(place, { fd, plan });
    if (method === "command") await mountByCommand(place, { fd, plan, signal: options.signal });
    return await openMount(fd, { place, method });
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * Unmounts what is on a directory, the uppermost mount.
 *
 * @throws {EsgzError} `MOUNT_FAILED`.
 */
export async function unmountFuse(
  target: string,
  options: UnmountOptions & { readonly method?: Method } = {},
): Promise<void> {
  const method = options.method ?? chooseMethod(process.geteuid?.() ?? 0);
  const calls = method === "call" ? loadNativeCalls() : undefined;
  if (calls === undefined) {
    await unmountByCommand(target, {
      ...options,
      program: method === "fusermount" ? "fusermount3" : "umount",
    });
    return;
  }
  const result = calls.umount(target, options.lazy === true ? MNT_DETACH : 0);
  if (result < 0) throw failure("unmount", target, { method, errno: -result });
}

function chooseMethod(uid: number): Method {
  if (uid !== 0) return "fusermount";
  return loadNativeCalls() === undefined ? "command" : "call";
}

function mountByCall(target: string, { fd, plan }: { readonly fd: number; readonly plan: MountPlan }): void {
  const calls = loadNativeCalls();
  if (calls === undefined) {
    throw new EsgzError(
      "NOT_SUPPORTED",
      `Cannot mount FUSE filesystem on "${target}": expected native calls, got a machine without`,
    );
  }
  const data = [`fd=${fd}`, ...plan.data].join(",");
  const result = calls.mount({ source: plan.source, target, type: plan.type, flags: plan.flags, data });
  if (result < 0) throw failure("mount", target, { method: "call", errno: -result });
}

async function openMount(
  fd: number,
  { place, method }: { readonly place: string; readonly method: Method },
): Promise<FuseMount> {
  const mounts = await readMounts();
  const info = mounts.findLast(({ target, type }) => target === place && type.startsWith("fuse"));
  if (info !== undefined) return new FuseMount({ fd, info, method });
  throw new EsgzError(
    "MOUNT_FAILED",
    `Cannot mount FUSE filesystem on "${place}": expected a mount there, got none`,
    { details: { method } },
  );
}

function openDevice(target: string): number {
  try {
    return openSync(DEVICE, constants.O_RDWR);
  } catch (error) {
    throw new EsgzError(
      "MOUNT_FAILED",
      `Cannot mount FUSE filesystem on "${target}": expected to open ${DEVICE}, got ${messageOf(error)}`,
      { cause: error },
    );
  }
}

async function resolveTarget(target: string): Promise<string> {
  try {
    return await realpath(target);
  } catch (error) {
    throw new EsgzError(
      "MOUNT_FAILED",
      `Cannot mount FUSE filesystem on "${target}": expected a directory, got ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function failure(
  verb: "mount" | "unmount",
  target: string,
  details: { readonly method: Method; readonly errno: number },
): EsgzError {
  return new EsgzError(
    "MOUNT_FAILED",
    `Cannot ${verb} FUSE filesystem on "${target}": expected the kernel to allow it, got errno ${details.errno}`,
    { details },
  );
}
