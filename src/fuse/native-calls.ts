/**
 * System calls that Node does not have: poll, eventfd, ioctl, mount, and file descriptors over sockets.
 *
 * Sources: poll(2), eventfd(2), fcntl(2), ioctl(2), mount(2), umount(2), recvmsg(2), cmsg(3); `linux/fuse.h` for the
 * numbers of its ioctls. All are the same on all machines that Node runs on.
 *
 * @module
 */
import { createRequire } from "node:module";

/** The outcome of a call: at least 0, or minus the errno. */
export type CallResult = number;

/** The calls, where this machine allows them. */
export interface NativeCalls {
  /** Blocks until one of two files can be read. Bit 0: the first; bit 1: the second. */
  poll(first: number, second: number, timeoutMs: number): CallResult;
  /** As `poll`, on a thread of the pool. */
  pollLater(first: number, second: number): Promise<CallResult>;
  read(fd: number, buffer: Uint8Array): CallResult;
  /** A counter to wake a reader with: never blocks, closed in children. */
  eventfd(): CallResult;
  setNonBlocking(fd: number): CallResult;
  /** Makes a freshly opened device one more of the connection that `fd` has. */
  cloneDevice(device: number, fd: number): CallResult;
  /** A backing id for an open file. */
  openBacking(device: number, fd: number): CallResult;
  closeBacking(device: number, id: number): CallResult;
  mount(call: {
    readonly source: string;
    readonly target: string;
    readonly type: string;
    readonly flags: number;
    readonly data: string;
  }): CallResult;
  umount(target: string, flags: number): CallResult;
  /** Two connected sockets, closed in children unless handed on. */
  socketPair(): readonly [number, number] | CallResult;
  /** A file descriptor that waits in a socket; never blocks. */
  receiveFd(socket: number): CallResult;
}

type Koffi = typeof import("koffi");
type Library = ReturnType<Koffi["load"]>;

const POLLIN = 1;
const POLL_ENTRY_SIZE = 8;
const EFD_NONBLOCK_CLOEXEC = 0o2000000 | 0o4000;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;

/** `_IOR(229, 0, uint32_t)`, `_IOW(229, 1, struct fuse_backing_map)`, `_IOW(229, 2, uint32_t)`. */
const IOC_CLONE = 0x8004_e500;
const IOC_BACKING_OPEN = 0x4010_e501;
const IOC_BACKING_CLOSE = 0x4004_e502;

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const MSG_DONTWAIT_CLOEXEC = 0x40 | 0x4000_0000;
const SCM_RIGHTS = 1;
const SOL_SOCKET = 1;
/** `struct cmsghdr` (16) and one descriptor, aligned. */
const CONTROL_SIZE = 24;
const CONTROL_HEADER_SIZE = 16;
const EIO = 5;

let loaded: { readonly calls: NativeCalls | undefined } | undefined;

/** The calls, or undefined where no native library can be loaded. Looked for once a thread. */
export function loadNativeCalls(): NativeCalls | undefined {
  loaded ??= { calls: bindCalls() };
  return loaded.calls;
}

function bindCalls(): NativeCalls | undefined {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    const library = koffi.load(null);
    const errno = (result: number): CallResult => (result < 0 ? -koffi.errno() : result);
    return {
      ...bindReading(library, errno),
      ...bindDevice(library, errno),
      ...bindMounting(library, errno),
      ...bindSockets(koffi, { library, errno }),
    };
  } catch {
    return undefined;
  }
}

type Errno = (result: number) => CallResult;

function bindReading(
  library: Library,
  errno: Errno,
): Pick<NativeCalls, "poll" | "pollLater" | "read" | "eventfd" | "setNonBlocking"> {
  const poll = library.func("int poll(void *fds, unsigned long count, int timeout)");
  const read = library.func("long read(int fd, void *buffer, size_t size)");
  const eventfd = library.func("int eventfd(unsigned int value, int flags)");
  const fcntl = library.func("int fcntl(int fd, int command, ...)");
  const entries = Buffer.alloc(2 * POLL_ENTRY_SIZE);
  return {
    poll(first, second, timeoutMs) {
      fillPollEntries(entries, [first, second]);
      const result = errno(poll(entries, 2, timeoutMs));
      return result < 0 ? result : readyBits(entries);
    },
    pollLater(first, second) {
      const own = Buffer.alloc(2 * POLL_ENTRY_SIZE);
      fillPollEntries(own, [first, second]);
      return new Promise((resolve, reject) => {
        poll.async(own, 2, -1, (error: Error | null, result: number) => {
          if (error !== null) reject(error);
          // The errno of that thread is lost; a poll fails for signals only.
          else resolve(result < 0 ? 0 : readyBits(own));
        });
      });
    },
    read: (fd, buffer) => errno(Number(read(fd, buffer, buffer.length))),
    eventfd: () => errno(eventfd(0, EFD_NONBLOCK_CLOEXEC)),
    setNonBlocking(fd) {
      const flags = errno(fcntl(fd, F_GETFL));
      return flags < 0 ? flags : errno(fcntl(fd, F_SETFL, "int", flags | O_NONBLOCK));
    },
  };
}

/** `struct pollfd`: 4 descriptor, 2 wanted, 2 found. */
function fillPollEntries(entries: Buffer, fds: readonly [number, number]): void {
  for (const [index, fd] of fds.entries()) {
    entries.writeInt32LE(fd, index * POLL_ENTRY_SIZE);
    entries.writeUInt32LE(POLLIN, index * POLL_ENTRY_SIZE + 4);
  }
}

function readyBits(entries: Buffer): number {
  const isReady = (index: number): boolean => entries.readUInt16LE(index * POLL_ENTRY_SIZE + 6) !== 0;
  return (isReady(0) ? 1 : 0) | (isReady(1) ? 2 : 0);
}

function bindDevice(
  library: Library,
  errno: Errno,
): Pick<NativeCalls, "cloneDevice" | "openBacking" | "closeBacking"> {
  const ioctl = library.func("int ioctl(int fd, unsigned long request, void *argument)");
  const ioctlNumber = (device: number, request: number, value: number): CallResult =>
    errno(ioctl(device, request, numberBytes(value)));
  return {
    cloneDevice: (device, fd) => ioctlNumber(device, IOC_CLONE, fd),
    openBacking(device, fd) {
      // `struct fuse_backing_map`: 4 descriptor, 4 flags, 8 padding.
      const map = Buffer.alloc(16);
      map.writeInt32LE(fd, 0);
      return errno(ioctl(device, IOC_BACKING_OPEN, map));
    },
    closeBacking: (device, id) => ioctlNumber(device, IOC_BACKING_CLOSE, id),
  };
}

function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function bindMounting(library: Library, errno: Errno): Pick<NativeCalls, "mount" | "umount"> {
  const mount = library.func(
    "int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)",
  );
  const umount2 = library.func("int umount2(const char *target, int flags)");
  return {
    mount: ({ source, target, type, flags, data }) => errno(mount(source, target, type, flags, data)),
    umount: (target, flags) => errno(umount2(target, flags)),
  };
}

function bindSockets(
  koffi: Koffi,
  { library, errno }: { readonly library: Library; readonly errno: Errno },
): Pick<NativeCalls, "socketPair" | "receiveFd"> {
  const socketpair = library.func("int socketpair(int domain, int type, int protocol, void *pair)");
  const recvmsg = library.func("long recvmsg(int fd, void *message, int flags)");
  return {
    socketPair() {
      const pair = Buffer.alloc(8);
      const result = errno(socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair));
      return result < 0 ? result : [pair.readInt32LE(0), pair.readInt32LE(4)];
    },
    receiveFd(socket) {
      const [byte, control] = [Buffer.alloc(8), Buffer.alloc(CONTROL_SIZE)];
      const vector = BigUint64Array.of(koffi.address(byte), 1n);
      // `struct msghdr`: name and its size, vectors and their count, control and its size, flags.
      const message = BigUint64Array.of(
        0n,
        0n,
        koffi.address(vector),
        1n,
        koffi.address(control),
        BigInt(CONTROL_SIZE),
        0n,
      );
      const result = errno(Number(recvmsg(socket, message, MSG_DONTWAIT_CLOEXEC)));
      if (result < 0) return result;
      const isRights = control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS;
      return result > 0 && isRights ? control.readInt32LE(CONTROL_HEADER_SIZE) : -EIO;
    },
  };
}
