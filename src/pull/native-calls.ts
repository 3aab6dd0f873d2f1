/**
 * System calls that Node does not have: times to the nanosecond, extended attributes, device nodes.
 *
 * Sources: utimensat(2), setxattr(2), mknod(2); makedev(3) of the GNU C library for the encoding of device numbers.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { constants, futimesSync, lutimesSync } from "node:fs";
import { createRequire } from "node:module";
import { encodePathText } from "../bytes/index.ts";
import { messageOf } from "../errors/index.ts";
import type { Timestamp } from "../tar/index.ts";

/** A call's outcome: undefined when it was done, else the reason in words. */
export type CallFailure = string | undefined;

interface NativeCalls {
  readonly futimens: (fd: number, times: BigInt64Array) => number;
  readonly utimensat: (dirFd: number, path: Uint8Array, times: BigInt64Array, flags: number) => number;
  readonly fsetxattr: (
    fd: number,
    name: Uint8Array,
    value: Uint8Array,
    size: number,
    flags: number,
  ) => number;
  readonly lsetxattr: (
    path: Uint8Array,
    name: Uint8Array,
    value: Uint8Array,
    size: number,
    flags: number,
  ) => number;
  readonly mknod: ((path: Uint8Array, mode: number, device: bigint) => number) | undefined;
  readonly errorName: () => string;
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const NUL = Buffer.of(0);

let loaded: { readonly calls: NativeCalls | undefined } | undefined;

/** Sets both times of an open file. Without native calls what lies below a microsecond is lost. */
export function setFileTimes(fd: number, mtime: Timestamp): void {
  const plain = mtime.nanoseconds === 0 && mtime.seconds >= 0;
  const calls = plain ? undefined : nativeCalls();
  if (calls !== undefined && calls.futimens(fd, timesOf(mtime)) === 0) return;
  const seconds = mtime.seconds + mtime.nanoseconds / 1e9;
  futimesSync(fd, seconds, seconds);
}

/** Sets both times of what lies at a path; a symbolic link is not followed. */
export function setPathTimes(path: Buffer, mtime: Timestamp): void {
  const plain = mtime.nanoseconds === 0 && mtime.seconds >= 0;
  const calls = plain ? undefined : nativeCalls();
  const terminated = calls === undefined ? path : Buffer.concat([path, NUL]);
  if (calls?.utimensat(AT_FDCWD, terminated, timesOf(mtime), AT_SYMLINK_NOFOLLOW) === 0) return;
  const seconds = mtime.seconds + mtime.nanoseconds / 1e9;
  lutimesSync(path, seconds, seconds);
}

/** Sets an extended attribute of an open file. */
export function setFileXattr(fd: number, name: string, value: Uint8Array): CallFailure {
  const calls = nativeCalls();
  if (calls === undefined) return "no native calls on this machine";
  return calls.fsetxattr(fd, terminatedName(name), value, value.length, 0) === 0
    ? undefined
    : calls.errorName();
}

/** Sets an extended attribute of what lies at a path; a symbolic link is not followed. */
export function setPathXattr(path: Buffer, name: string, value: Uint8Array): CallFailure {
  const calls = nativeCalls();
  if (calls === undefined) return "no native calls on this machine";
  const terminated = Buffer.concat([path, NUL]);
  return calls.lsetxattr(terminated, terminatedName(name), value, value.length, 0) === 0
    ? undefined
    : calls.errorName();
}

/** Makes a device or a fifo with mode 0600. */
export function makeNode(
  path: Buffer,
  node: { readonly type: "char" | "block" | "fifo"; readonly devMajor: number; readonly devMinor: number },
): CallFailure {
  const calls = nativeCalls();
  if (calls?.mknod === undefined) return makeNodeByCommand(path, node);
  const kind = { char: constants.S_IFCHR, block: constants.S_IFBLK, fifo: constants.S_IFIFO }[node.type];
  const device = node.type === "fifo" ? 0n : deviceNumber(node.devMajor, node.devMinor);
  return calls.mknod(Buffer.concat([path, NUL]), kind | 0o600, device) === 0 ? undefined : calls.errorName();
}

function makeNodeByCommand(
  path: Buffer,
  node: { readonly type: "char" | "block" | "fifo"; readonly devMajor: number; readonly devMinor: number },
): CallFailure {
  const text = path.toString("utf8");
  if (!Buffer.from(text, "utf8").equals(path)) return "a name that no command line can carry";
  const letter = { char: "c", block: "b", fifo: "p" }[node.type];
  const numbers = node.type === "fifo" ? [] : [String(node.devMajor), String(node.devMinor)];
  try {
    execFileSync("mknod", ["-m", "600", "--", text, letter, ...numbers], { stdio: "ignore" });
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** 12 + 20 low bits as the kernel's old and new encodings interleave them. */
function deviceNumber(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major >>> 0), BigInt(minor >>> 0)];
  return (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & ~0xffn) << 12n) | ((high & ~0xfffn) << 32n);
}

/** `struct timespec[2]`: access time, then modification time. */
function timesOf({ seconds, nanoseconds }: Timestamp): BigInt64Array {
  return BigInt64Array.of(BigInt(seconds), BigInt(nanoseconds), BigInt(seconds), BigInt(nanoseconds));
}

function terminatedName(name: string): Buffer {
  return Buffer.concat([encodePathText(name), NUL]);
}

function nativeCalls(): NativeCalls | undefined {
  loaded ??= { calls: loadNativeCalls() };
  return loaded.calls;
}

/** Loaded when it is first needed: most images need none of it, and each worker would pay for it. */
function loadNativeCalls(): NativeCalls | undefined {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const library = koffi.load(null);
    return {
      futimens: library.func("int futimens(int fd, const void *times)"),
      utimensat: library.func("int utimensat(int dir, const void *path, const void *times, int flags)"),
      fsetxattr: library.func(
        "int fsetxattr(int fd, const void *name, const void *value, size_t size, int flags)",
      ),
      lsetxattr: library.func(
        "int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)",
      ),
      mknod: findMknod(library),
      errorName: () => nameOfErrno(koffi.errno(), koffi.os.errno),
    };
  } catch {
    return undefined;
  }
}

/** Older C libraries have no symbol `mknod`. */
function findMknod(library: import("koffi").LibraryHandle): NativeCalls["mknod"] {
  try {
    return library.func("int mknod(const void *path, unsigned int mode, uint64_t device)");
  } catch {
    return undefined;
  }
}

function nameOfErrno(number: number, names: Readonly<Record<string, number>>): string {
  for (const [name, value] of Object.entries(names)) if (value === number) return name;
  return `errno ${number}`;
}
