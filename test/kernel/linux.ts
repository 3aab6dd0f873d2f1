/**
 * System calls that Node does not have.
 */
import koffi from "koffi";

const XATTR_BUFFER_SIZE = 128 * 1024;

/** The numbers are the same on all architectures. */
const SYS_MOVE_MOUNT = 429;
const SYS_FSOPEN = 430;
const SYS_FSCONFIG = 431;
const SYS_FSMOUNT = 432;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const AT_FDCWD = -100;
const MS_RDONLY = 1;
const MNT_DETACH = 2;

const libc = koffi.load("libc.so.6");
const mount = libc.func("int mount(const char *, const char *, const char *, unsigned long, const char *)");
const umount2 = libc.func("int umount2(const char *, int)");
const close = libc.func("int close(int)");
const llistxattr = libc.func("long llistxattr(const uint8_t *, _Out_ uint8_t *, size_t)");
const lgetxattr = libc.func("long lgetxattr(const uint8_t *, const uint8_t *, _Out_ uint8_t *, size_t)");
const fsopen = libc.func("syscall", "long", ["long", "str", "uint"]);
const fsconfig = libc.func("syscall", "long", ["long", "int", "uint", "str", "str", "int"]);
const fsmount = libc.func("syscall", "long", ["long", "int", "uint", "uint"]);
const moveMount = libc.func("syscall", "long", ["long", "int", "str", "int", "str", "uint"]);

/** Mounts an image file by `mount(2)`: all options are one text of less than 4096 bytes. */
export function mountErofs(options: {
  readonly meta: string;
  readonly devices: readonly string[];
  readonly target: string;
}): void {
  const text = options.devices.map((device) => `device=${device}`).join(",");
  check(mount(options.meta, options.target, "erofs", MS_RDONLY, text), "mount");
}

/** Mounts an image file by `fsopen(2)`, where each option is a text of its own, of at most 255 bytes. */
export function fsmountErofs(options: {
  readonly meta: string;
  readonly devices: readonly string[];
  readonly target: string;
}): void {
  const context = check(fsopen(SYS_FSOPEN, "erofs", 0), "fsopen");
  try {
    const set = (key: string, value: string): void => {
      check(fsconfig(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, key, value, 0), `fsconfig ${key}`);
    };
    set("source", options.meta);
    for (const device of options.devices) set("device", device);
    check(fsconfig(SYS_FSCONFIG, context, FSCONFIG_SET_FLAG, "ro", null, 0), "fsconfig ro");
    check(fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0), "fsconfig create");
    const fd = check(fsmount(SYS_FSMOUNT, context, 0, 0), "fsmount");
    try {
      check(
        moveMount(SYS_MOVE_MOUNT, fd, "", AT_FDCWD, options.target, MOVE_MOUNT_F_EMPTY_PATH),
        "move_mount",
      );
    } finally {
      close(fd);
    }
  } finally {
    close(context);
  }
}

/** Mounts overlayfs without an upper layer; the first layer is the topmost. */
export function mountOverlay(options: { readonly layers: readonly string[]; readonly target: string }): void {
  check(
    mount("overlay", options.target, "overlay", MS_RDONLY, `lowerdir=${options.layers.join(":")}`),
    "mount",
  );
}

/** Unmounts, at once for the name and for the rest when nothing uses it any more. */
export function unmount(target: string): void {
  check(umount2(target, MNT_DETACH), "umount2");
}

/** The extended attributes of a path, symlinks not followed. */
export function listXattrs(path: Uint8Array): Map<string, Uint8Array> {
  const place = zeroTerminated(path);
  const buffer = new Uint8Array(XATTR_BUFFER_SIZE);
  const size = check(llistxattr(place, buffer, buffer.length), "llistxattr");
  const names = new TextDecoder().decode(buffer.slice(0, size)).split("\0").slice(0, -1);
  return new Map(
    names.map((name) => {
      const length = check(
        lgetxattr(place, zeroTerminated(Buffer.from(name)), buffer, buffer.length),
        `lgetxattr ${name}`,
      );
      return [name, buffer.slice(0, length)];
    }),
  );
}

function zeroTerminated(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes.length + 1);
  copy.set(bytes);
  return copy;
}

function check(result: unknown, call: string): number {
  if (typeof result === "number" && result >= 0) return result;
  throw Object.assign(new Error(`${call} failed with errno ${koffi.errno()}`), { errno: koffi.errno() });
}

const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const POSIX_FADV_DONTNEED = 4;
const pidfdOpen = libc.func("syscall", "long", ["long", "int", "uint"]);
const pidfdGetfd = libc.func("syscall", "long", ["long", "int", "int", "uint"]);
const fadvise = libc.func("int posix_fadvise(int, int64_t, int64_t, int)");

/** A copy of a descriptor of another process, closed in children unless handed on (Linux 5.6). */
export function copyDescriptor(pid: number, fd: number): number {
  const process = check(pidfdOpen(SYS_PIDFD_OPEN, pid, 0), "pidfd_open");
  try {
    return check(pidfdGetfd(SYS_PIDFD_GETFD, process, fd, 0), "pidfd_getfd");
  } finally {
    close(process);
  }
}

/** Has the kernel forget what it has cached of a file. */
export function dropCached(fd: number): void {
  fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
