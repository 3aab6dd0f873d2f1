/**
 * The system calls of mounting, which Node does not have, through koffi.
 *
 * Each call that may sleep runs on a thread of Node's pool, never on the thread that asks: the kernel may have to read a
 * file that a FUSE server in this very process serves. Sources: mount(2), umount2(2), fsopen(2), fsconfig(2), fsmount(2),
 * move_mount(2), open_tree(2), mount_setattr(2), statx(2), ioctl(2),
 * utimensat(2).
 *
 * @module
 */
import { createRequire } from "node:module";
import { encodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { usePoolShare } from "./pool-share.ts";
import { SystemCallError } from "./system-call-error.ts";

type Koffi = typeof import("koffi");
type NativeFunction = ReturnType<import("koffi").LibraryHandle["func"]>;
type Argument = number | bigint | string | Uint8Array | null;

interface Loaded {
  readonly koffi: Koffi;
  readonly functions: Readonly<Record<CallName, NativeFunction>>;
}

/** The numbers are the same on all architectures. */
const NUMBERS = {
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  mount_setattr: 442,
} as const;

const PARAMETERS = {
  open_tree: ["int", "const uint8_t *", "uint"],
  move_mount: ["int", "str", "int", "const uint8_t *", "uint"],
  fsopen: ["str", "uint"],
  fsconfig: ["int", "uint", "str", "const uint8_t *", "int"],
  fsmount: ["int", "uint", "uint"],
  mount_setattr: ["int", "const uint8_t *", "uint", "const uint8_t *", "size_t"],
  mount: ["const uint8_t *", "const uint8_t *", "str", "ulong", "const uint8_t *"],
  umount2: ["const uint8_t *", "int"],
  statx: ["int", "const uint8_t *", "int", "uint", "uint8_t *"],
  ioctl: ["int", "ulong", "const uint8_t *"],
  utimensat: ["int", "const uint8_t *", "const uint8_t *", "int"],
} as const;

type CallName = keyof typeof PARAMETERS;

const FSOPEN_CLOEXEC = 1;
const FSMOUNT_CLOEXEC = 1;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
const AT_FDCWD = -100;
const AT_EMPTY_PATH = 0x1000;
const AT_RECURSIVE = 0x8000;
const AT_NO_AUTOMOUNT = 0x800;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_MNT_ID_UNIQUE = 0x4000;
const STATX_SIZE = 256;
const STATX_MNT_ID_OFFSET = 144;

/** Buffers that the kernel reads while no JavaScript holds them. */
const inUse = new Set<readonly Argument[]>();

let loaded: Loaded | undefined;

/** `mount(2)`; `data` are the options of the filesystem as one text. */
export async function mount(
  target: string,
  options: { source: string; type: string; flags: number; data?: string },
): Promise<void> {
  const { source, type, flags, data } = options;
  const text = data === undefined ? null : terminated(data);
  await callAsync("mount", [terminated(source), terminated(target), type, flags, text]);
}

/** `umount2(2)`; a link at the end of the path is followed only if told so. */
export async function umount(
  target: string,
  options: { readonly lazy: boolean; readonly follow?: boolean },
): Promise<void> {
  const flags = (options.lazy ? MNT_DETACH : 0) | (options.follow === true ? 0 : UMOUNT_NOFOLLOW);
  await callAsync("umount2", [terminated(target), flags]);
}

/** `fsopen(2)`: the descriptor of a filesystem context. */
export function fsopen(type: string): Promise<number> {
  return callAsync("fsopen", [type, FSOPEN_CLOEXEC]);
}

/** Sets a text of a context; on a thread of the pool, for filesystems that look up paths at once. */
export async function configure(context: number, key: string, value: string): Promise<void> {
  await callAsync("fsconfig", [context, FSCONFIG_SET_STRING, key, terminated(value), 0]);
}

/** Sets a text of a context on this thread, for filesystems that only remember it. */
export function configureNow(context: number, key: string, value: string): void {
  call("fsconfig", [context, FSCONFIG_SET_STRING, key, terminated(value), 0]);
}

/** Sets a flag of a context. */
export function configureFlag(context: number, key: string): void {
  call("fsconfig", [context, FSCONFIG_SET_FLAG, key, null, 0]);
}

/** Lets the filesystem open what was configured: the longest part of a mount. */
export async function createSuperblock(context: number): Promise<void> {
  await callAsync("fsconfig", [context, FSCONFIG_CMD_CREATE, null, null, 0]);
}

/** `fsmount(2)`: the descriptor of a mount that lies nowhere yet. */
export function fsmount(context: number, attributes: number): Promise<number> {
  return callAsync("fsmount", [context, FSMOUNT_CLOEXEC, attributes]);
}

/** Puts a mount on a directory or file. */
export async function moveMount(mountFd: number, target: string): Promise<void> {
  await callAsync("move_mount", [mountFd, "", AT_FDCWD, terminated(target), MOVE_MOUNT_F_EMPTY_PATH]);
}

/** A copy of the mount, or of the part of it, at a path; it lies nowhere yet. */
export function cloneTree(path: string, options: { readonly recursive: boolean }): Promise<number> {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (options.recursive ? AT_RECURSIVE : 0);
  return callAsync("open_tree", [AT_FDCWD, terminated(path), flags]);
}

/** Adds attributes to a mount given by its descriptor; `struct mount_attr` has four words of 8 bytes, the first sets. */
export async function setMountAttributes(
  mountFd: number,
  attributes: number,
  options: { readonly recursive: boolean },
): Promise<void> {
  const words = BigUint64Array.of(BigInt(attributes), 0n, 0n, 0n);
  const struct = new Uint8Array(words.buffer);
  const flags = AT_EMPTY_PATH | (options.recursive ? AT_RECURSIVE : 0);
  await callAsync("mount_setattr", [mountFd, terminated(""), flags, struct, struct.length]);
}

/**
 * The id that no other mount ever has (Linux 6.8), of the mount that an open file is of; undefined on older kernels. No
 * filesystem is asked.
 */
export async function uniqueMountId(fd: number): Promise<bigint | undefined> {
  const words = new BigUint64Array(STATX_SIZE / 8);
  const struct = new Uint8Array(words.buffer);
  const flags = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
  await callAsync("statx", [fd, terminated(""), flags, STATX_MNT_ID_UNIQUE, struct]);
  const mask = new Uint32Array(words.buffer)[0] ?? 0;
  return (mask & STATX_MNT_ID_UNIQUE) === 0 ? undefined : words[STATX_MNT_ID_OFFSET / 8];
}

/** `ioctl(2)` with a structure or nothing. */
export function ioctl(fd: number, request: number, argument: Uint8Array | null = null): Promise<number> {
  return callAsync("ioctl", [fd, request, argument]);
}

/** `utimensat(2)` for a path: both times are set. */
export async function setTimes(
  path: string,
  { seconds, nanoseconds }: { readonly seconds: number; readonly nanoseconds: number },
): Promise<void> {
  const [whole, part] = [BigInt(seconds), BigInt(nanoseconds)];
  const struct = new Uint8Array(BigInt64Array.of(whole, part, whole, part).buffer);
  await callAsync("utimensat", [AT_FDCWD, terminated(path), struct, 0]);
}

async function callAsync(name: CallName, values: readonly Argument[]): Promise<number> {
  const { koffi, functions } = load();
  const start = (resolve: (result: number) => void, reject: (error: Error) => void): void => {
    const settle = (failure: unknown, result: unknown): void => {
      // First, before any other call replaces it.
      const errno = koffi.errno();
      inUse.delete(values);
      if (failure !== null && failure !== undefined) reject(failure as Error);
      else if (typeof result === "number" && result >= 0) resolve(result);
      else reject(callError(koffi, name, errno));
    };
    inUse.add(values);
    functions[name].async(...leading(name), ...values, settle);
  };
  return await usePoolShare(() => new Promise(start));
}

function call(name: CallName, values: readonly Argument[]): number {
  const { koffi, functions } = load();
  const result: unknown = functions[name](...leading(name), ...values);
  if (typeof result === "number" && result >= 0) return result;
  throw callError(koffi, name, koffi.errno());
}

function callError(koffi: Koffi, name: string, errno: number): SystemCallError {
  const known = Object.entries(koffi.os.errno).find(([, value]) => value === errno);
  return new SystemCallError(name, known?.[0] ?? `errno ${errno}`);
}

/** What `syscall(2)` takes before the arguments of a call without a function of its own. */
function leading(name: CallName): readonly number[] {
  return name in NUMBERS ? [NUMBERS[name as keyof typeof NUMBERS]] : [];
}

function terminated(text: string): Uint8Array {
  const bytes = encodePathText(text);
  if (bytes.includes(0)) {
    throw new EsgzError(
      "PATH_INVALID",
      `Cannot use path ${JSON.stringify(text)}: expected none, got a zero byte`,
    );
  }
  const copy = new Uint8Array(bytes.length + 1);
  copy.set(bytes);
  return copy;
}

/** Loaded when it is first needed, so that machines that mount nothing need none of it. */
function load(): Loaded {
  loaded ??= bind();
  return loaded;
}

function bind(): Loaded {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    const library = koffi.load(null);
    const entries = Object.entries(PARAMETERS).map(([name, parameters]) => [
      name,
      name in NUMBERS
        ? library.func("syscall", "long", ["long", ...parameters])
        : library.func(name, "int", [...parameters]),
    ]);
    return { koffi, functions: Object.fromEntries(entries) as Loaded["functions"] };
  } catch (cause) {
    const text = "Cannot mount: expected native calls through koffi, got none on this machine";
    throw new EsgzError("NOT_SUPPORTED", text, { cause });
  }
}
