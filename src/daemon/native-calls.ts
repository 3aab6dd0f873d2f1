/**
 * System calls that Node does not have: sockets that nobody accepts on yet, descriptors of other processes, locks.
 *
 * Sources: socket(2), bind(2), listen(2), connect(2), unix(7), flock(2), poll(2), fcntl(2), umount2(2), madvise(2), pidfd_open(2), pidfd_getfd(2),
 * sendto(2); the numbers of the last two system calls are the same on all machines.
 *
 * @module
 */
import { createRequire } from "node:module";
import { EsgzError } from "../errors/index.ts";

/** The outcome of a call: at least 0, or minus the errno. */
export type CallResult = number;

/** The calls that holder and launcher make. */
export interface NativeCalls {
  /** A stream socket that is bound to a path of at most 107 bytes and listens; closed in children. */
  listen(path: string, backlog: number): CallResult;
  /** Connects to a path of at most 107 bytes and hangs up at once, without waiting. */
  connect(path: string): CallResult;
  /** Sends one datagram to a path, or to an abstract name that begins with `@`. */
  sendDatagram(path: string, text: string): CallResult;
  /** Locks an open file for this process alone, without waiting. */
  lock(fd: number): CallResult;
  /** A copy of a descriptor of another process, closed in children. */
  copyDescriptor(pid: number, fd: number): CallResult;
  /** Whether children that are started by exec get a descriptor. */
  setInherited(fd: number, inherited: boolean): CallResult;
  /** Ends the connection of a FUSE mount, whoever uses it; the mount stays, dead, if it is in use. Looks at nothing below it. */
  abortMount(target: string): CallResult;
  /** Lets go of resident pages, which are read again from their file when they are used. They must not have been changed. */
  dropPages(start: bigint, size: bigint): CallResult;
  /** What is going on at a descriptor: the bits of {@link POLL}, without waiting. */
  poll(fd: number): CallResult;
}

/** Bits of {@link NativeCalls.poll}. */
export const POLL = { readable: 1, failed: 8, hungUp: 16 } as const;

/** The errno of a lock that somebody else has. */
export const EWOULDBLOCK = 11;

/** The errno of a socket whose queue is full. */
export const EAGAIN: number = EWOULDBLOCK;

type Koffi = typeof import("koffi");

const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const LOCK_EX_NB = 2 | 4;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
const MNT_FORCE = 1;
const MADV_DONTNEED = 4;

let loaded: NativeCalls | undefined;

/**
 * The calls.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` where no native library can be loaded.
 */
export function loadNativeCalls(): NativeCalls {
  loaded ??= bindCalls(loadKoffi());
  return loaded;
}

function loadKoffi(): Koffi {
  try {
    return createRequire(import.meta.url)("koffi") as Koffi;
  } catch (cause) {
    const message = "Cannot run daemon: expected native calls, got a machine for which koffi has none";
    throw new EsgzError("NOT_SUPPORTED", message, { cause });
  }
}

function bindCalls(koffi: Koffi): NativeCalls {
  const library = koffi.load(null);
  const errno = (result: number | bigint): CallResult => (result < 0 ? -koffi.errno() : Number(result));
  const socket = library.func("int socket(int domain, int type, int protocol)");
  const bind = library.func("int bind(int fd, const void *address, unsigned int size)");
  const listen = library.func("int listen(int fd, int backlog)");
  const connect = library.func("int connect(int fd, const void *address, unsigned int size)");
  const sendto = library.func(
    "long sendto(int fd, const void *bytes, size_t size, int flags, const void *address, unsigned int length)",
  );
  const flock = library.func("int flock(int fd, int operation)");
  const fcntl = library.func("int fcntl(int fd, int command, ...)");
  const poll = library.func("int poll(void *fds, unsigned long count, int timeout)");
  const umount2 = library.func("int umount2(const char *target, int flags)");
  const madvise = library.func("int madvise(uintptr_t start, size_t size, int advice)");
  const close = library.func("int close(int fd)");
  const syscall = library.func("long syscall(long number, ...)");
  const closing = (fd: number, result: CallResult): CallResult => {
    close(fd);
    return result;
  };
  return {
    listen(path, backlog) {
      const fd = errno(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      if (fd < 0) return fd;
      const address = socketAddress(path);
      const bound = errno(bind(fd, address, address.length));
      if (bound < 0) return closing(fd, bound);
      const listening = errno(listen(fd, backlog));
      return listening < 0 ? closing(fd, listening) : fd;
    },
    connect(path) {
      const fd = errno(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (fd < 0) return fd;
      const address = socketAddress(path);
      return closing(fd, errno(connect(fd, address, address.length)));
    },
    sendDatagram(path, text) {
      const fd = errno(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      if (fd < 0) return fd;
      const [bytes, address] = [Buffer.from(text), socketAddress(path)];
      return closing(fd, errno(sendto(fd, bytes, bytes.length, 0, address, address.length)));
    },
    lock: (fd) => errno(flock(fd, LOCK_EX_NB)),
    copyDescriptor(pid, fd) {
      const process = errno(syscall(SYS_PIDFD_OPEN, "int", pid, "unsigned int", 0));
      if (process < 0) return process;
      return closing(process, errno(syscall(SYS_PIDFD_GETFD, "int", process, "int", fd, "unsigned int", 0)));
    },
    setInherited: (fd, inherited) => errno(fcntl(fd, F_SETFD, "int", inherited ? 0 : FD_CLOEXEC)),
    abortMount: (target) => errno(umount2(target, MNT_FORCE)),
    dropPages: (start, size) => errno(madvise(start, size, MADV_DONTNEED)),
    poll(fd) {
      // `struct pollfd`: 4 descriptor, 2 wanted, 2 found.
      const entry = Buffer.alloc(8);
      entry.writeInt32LE(fd, 0);
      entry.writeUInt16LE(POLL.readable, 4);
      const result = errno(poll(entry, 1, 0));
      return result < 0 ? result : entry.readUInt16LE(6);
    },
  };
}

/** `struct sockaddr_un`: 2 family, then the path with its NUL; an abstract name begins with one and has none at its end. */
function socketAddress(path: string): Buffer {
  const isAbstract = path.startsWith("@");
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  const family = Buffer.alloc(2);
  family.writeUInt16LE(AF_UNIX);
  return Buffer.concat([family, name]);
}
