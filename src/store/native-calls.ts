/**
 * System calls that Node does not have. Without koffi each has a slower or weaker way, said at each function.
 *
 * Sources: flock(2), fallocate(2), copy_file_range(2), lseek(2) with their constants from Linux's uapi headers.
 *
 * @module
 */
import { createRequire } from "node:module";

interface NativeCalls {
  readonly flock: (fd: number, operation: number) => number;
  readonly fallocate: (fd: number, mode: number, offset: bigint, size: bigint) => number;
  readonly copyFileRange: (
    from: number,
    fromOffset: BigInt64Array,
    to: number,
    toOffset: BigInt64Array,
    size: number,
    flags: number,
  ) => number | bigint;
  readonly lseek: (fd: number, offset: bigint, whence: number) => number | bigint;
  readonly errno: () => number;
  readonly numbers: Readonly<Record<string, number>>;
}

const LOCK_EX = 2;
const LOCK_NB = 4;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

let loaded: { readonly calls: NativeCalls | undefined } | undefined;

/** What came of an attempt to lock: undefined if this machine cannot lock with flock(2). */
export type LockOutcome = "locked" | "held" | undefined;

/** Locks an open file for this process alone, without waiting. The lock ends when the file is closed, however. */
export function lockFile(fd: number): LockOutcome {
  const calls = nativeCalls();
  if (calls === undefined) return undefined;
  if (calls.flock(fd, LOCK_EX | LOCK_NB) === 0) return "locked";
  const { EWOULDBLOCK, EAGAIN } = calls.numbers;
  return [EWOULDBLOCK, EAGAIN].includes(calls.errno()) ? "held" : undefined;
}

/** Makes a range of a file a hole; false if that cannot be done here, and nothing was changed. */
export function punchHole(fd: number, range: { readonly offset: number; readonly size: number }): boolean {
  const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  return nativeCalls()?.fallocate(fd, mode, BigInt(range.offset), BigInt(range.size)) === 0;
}

/** Takes room on the disk for the first bytes of an empty file, which has that size then. */
export function preallocate(fd: number, size: number): "done" | "no-room" | "not-supported" {
  const calls = nativeCalls();
  if (calls === undefined) return "not-supported";
  if (calls.fallocate(fd, 0, 0n, BigInt(size)) === 0) return "done";
  const { ENOSPC, EDQUOT, EINTR } = calls.numbers;
  return [ENOSPC, EDQUOT, EINTR].includes(calls.errno()) ? "no-room" : "not-supported";
}

/** A place in an open file. */
export interface FilePlace {
  readonly fd: number;
  readonly offset: number;
}

/**
 * Copies bytes between files inside the kernel, sharing blocks where the filesystem can.
 *
 * @returns how many bytes were copied; fewer than `size` (possibly 0) where the kernel stopped: the rest is for the
 * caller to copy.
 */
export function copyInKernel(from: FilePlace, to: FilePlace, options: { readonly size: number }): number {
  const calls = nativeCalls();
  if (calls === undefined) return 0;
  const [source, target] = [BigInt64Array.of(BigInt(from.offset)), BigInt64Array.of(BigInt(to.offset))];
  for (let copied = 0; copied < options.size;) {
    const count = Number(calls.copyFileRange(from.fd, source, to.fd, target, options.size - copied, 0));
    if (count <= 0) return copied;
    copied += count;
    source[0] = BigInt(from.offset + copied);
    target[0] = BigInt(to.offset + copied);
  }
  return options.size;
}

/** A run of a file that is no hole. */
export interface DataRun {
  readonly offset: number;
  readonly end: number;
}

/** The runs of a file that hold data, or undefined where the system does not tell. */
export function dataRunsOf(fd: number, size: number): readonly DataRun[] | undefined {
  const calls = nativeCalls();
  if (calls === undefined) return undefined;
  const runs: DataRun[] = [];
  for (let at = 0; at < size;) {
    const offset = Number(calls.lseek(fd, BigInt(at), SEEK_DATA));
    if (offset < 0) return calls.errno() === calls.numbers["ENXIO"] ? runs : undefined;
    const end = Number(calls.lseek(fd, BigInt(offset), SEEK_HOLE));
    if (end <= offset) return undefined;
    runs.push({ offset, end });
    at = end;
  }
  return runs;
}

function nativeCalls(): NativeCalls | undefined {
  loaded ??= { calls: loadNativeCalls() };
  return loaded.calls;
}

function loadNativeCalls(): NativeCalls | undefined {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    const library = koffi.load(null);
    return {
      flock: library.func("int flock(int fd, int operation)"),
      fallocate: library.func("int fallocate(int fd, int mode, int64_t offset, int64_t size)"),
      copyFileRange: library.func(
        "int64_t copy_file_range(int from, void *fromOffset, int to, void *toOffset, size_t size, unsigned int flags)",
      ),
      lseek: library.func("int64_t lseek(int fd, int64_t offset, int whence)"),
      errno: () => koffi.errno(),
      numbers: koffi.os.errno,
    };
  } catch {
    return undefined;
  }
}
