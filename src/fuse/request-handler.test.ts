import assert from "node:assert/strict";
import { test } from "node:test";
import { EsgzError } from "../errors/index.ts";
import { createAttributes } from "./attributes.ts";
import { decodeDirectoryEntriesPlus } from "./directory-messages.ts";
import { ErrnoError } from "./errno.ts";
import { DEFERRED, type Filesystem } from "./filesystem.ts";
import { encodeBody, type MessageCodec } from "./message-codec.ts";
import { decodeReply, encodeRequest } from "./message-header.ts";
import type { Negotiated } from "./negotiate-init.ts";
import { OPERATIONS, type OperationName } from "./operations.ts";
import { RequestHandler, type RequestHandlerOptions } from "./request-handler.ts";

const NEGOTIATED: Negotiated = { minor: 45, flags: [], maxRead: 65_536, maxWrite: 65_536 };
const ATTRIBUTES = createAttributes("reg", { size: 5 });
const BARE: Filesystem = { getattr: () => ({ attributesTimeoutMs: 0, attributes: ATTRIBUTES }) };
const READ = { handle: 0, offset: 0, size: 100, readFlags: 0, lockOwner: 0n, flags: 0 };

test("a filesystem without methods answers what each of them documents", () => {
  const absent: readonly [OperationName, unknown, number][] = [
    ["LOOKUP", { name: "a" }, 2],
    ["READLINK", {}, 22],
    ["OPEN", { flags: 0 }, 38],
    ["READ", READ, 5],
    ["FLUSH", { handle: 0, lockOwner: 0n }, 38],
    ["RELEASE", { handle: 0, flags: 0, releaseFlags: 0, lockOwner: 0n }, 0],
    ["OPENDIR", { flags: 0 }, 38],
    ["READDIR", READ, 38],
    ["READDIRPLUS", READ, 38],
    ["RELEASEDIR", { handle: 0, flags: 0, releaseFlags: 0, lockOwner: 0n }, 0],
    ["STATFS", {}, 0],
    ["STATX", { handle: undefined, flags: 0, mask: 0 }, 38],
    ["GETXATTR", { room: 0, name: "user.a" }, 38],
    ["LISTXATTR", { room: 0 }, 38],
    ["ACCESS", { mask: 4 }, 38],
    ["LSEEK", { handle: 0, offset: 0, whence: 3 }, 38],
    ["IOCTL", { handle: 0, flags: 0, command: 1, argument: 0n, outputSize: 0, input: new Uint8Array() }, 38],
    ["DESTROY", {}, 0],
  ];
  for (const [name, body, errno] of absent) {
    assert.deepEqual([name, exchange(BARE, name, body).map((reply) => reply.errno)], [name, [errno]]);
  }
});

test("a filesystem is told of attempts to make and remove names, and chooses the error", () => {
  const told: unknown[] = [];
  const filesystem: Filesystem = {
    ...BARE,
    refuse: (attempt) => {
      told.push(attempt);
      return attempt.operation === "create" ? "ENOENT" : "EACCES";
    },
  };
  const create = { flags: 0, mode: 0, umask: 0, openFlags: 0, name: "use" };
  assert.deepEqual(
    exchange(filesystem, "CREATE", create).map(({ errno }) => errno),
    [2],
  );
  assert.deepEqual(
    exchange(filesystem, "RMDIR", { name: "a" }).map(({ errno }) => errno),
    [13],
  );
  const directory = 2;
  assert.deepEqual(told, [
    { operation: "create", name: "use", directory },
    { operation: "rmdir", name: "a", directory },
  ]);
});

test("every change is answered with EROFS", () => {
  const time = { seconds: 0, nanoseconds: 0 };
  const [name, mode, umask, handle, offset, size, flags] = ["a", 0, 0, 0, 0, 0, 0];
  const changes: readonly [OperationName, unknown][] = [
    [
      "SETATTR",
      { valid: 1, handle, size, lockOwner: 0n, atime: time, mtime: time, ctime: time, mode, uid: 0, gid: 0 },
    ],
    ["SYMLINK", { name, target: "b" }],
    ["MKNOD", { mode, rdev: 0, umask, name }],
    ["MKDIR", { mode, umask, name }],
    ["UNLINK", { name }],
    ["RMDIR", { name }],
    ["RENAME", { newDirectory: 1, flags, oldName: "a", newName: "b" }],
    ["RENAME2", { newDirectory: 1, flags, oldName: "a", newName: "b" }],
    ["LINK", { node: 2, name }],
    ["CREATE", { flags, mode, umask, name }],
    ["TMPFILE", { flags, mode, umask, name }],
    ["WRITE", { handle, offset, writeFlags: 0, lockOwner: 0n, flags, bytes: new Uint8Array(3) }],
    ["SETXATTR", { flags, name: "user.a", value: new Uint8Array(1) }],
    ["REMOVEXATTR", { name: "user.a" }],
    ["FALLOCATE", { handle, offset, size, mode }],
  ];
  for (const [operation, body] of changes) {
    assert.deepEqual(
      [operation, exchange(BARE, operation, body).map((reply) => reply.errno)],
      [operation, [30]],
    );
  }
});

test("an operation of a later protocol is answered with ENOSYS", () => {
  const { handler, replies } = createHandler(BARE);
  handler.handle(encodeRequest(rawRequest({ opcode: 99, body: Uint8Array.of(1, 2, 3) })));
  assert.deepEqual(
    replies().map((reply) => reply.errno),
    [38],
  );
});

test("operations without a reply get none, even when they are broken", () => {
  const forgotten: [number, number][] = [];
  const filesystem = { ...BARE, forget: (node: number, lookups: number) => forgotten.push([node, lookups]) };
  const { handler, replies } = createHandler(filesystem as Filesystem);
  handler.handle(request("FORGET", { lookups: 3 }));
  handler.handle(
    request("BATCH_FORGET", {
      forgets: [
        { node: 5, lookups: 1 },
        { node: 6, lookups: 2 },
      ],
    }),
  );
  handler.handle(encodeRequest(rawRequest({ opcode: OPERATIONS.FORGET.opcode, body: new Uint8Array(3) })));
  handler.handle(request("INTERRUPT", { unique: 77n }));
  assert.deepEqual(replies(), []);
  assert.deepEqual(forgotten, [
    [2, 3],
    [5, 1],
    [6, 2],
  ]);
});

test("a message that breaks its layout is answered with EINVAL and reported", () => {
  const errors: string[] = [];
  const onError = (error: unknown, what: string): void => {
    errors.push(`${what} ${error instanceof EsgzError ? error.code : "?"}`);
  };
  const { handler, replies } = createHandler(BARE, { onError });
  handler.handle(encodeRequest(rawRequest({ opcode: OPERATIONS.READ.opcode, body: new Uint8Array(39) })));
  handler.handle(new Uint8Array(10));
  assert.deepEqual(
    replies().map((reply) => reply.errno),
    [22],
  );
  assert.deepEqual(errors, ["READ FUSE_INVALID", "request FUSE_INVALID"]);
});

test("errors thrown by methods become their errno; only those not chosen are reported", () => {
  const thrown: readonly [unknown, number][] = [
    [new ErrnoError("EACCES"), 13],
    [new ErrnoError(107), 107],
    [Object.assign(new Error("ENXIO"), { errno: -6, code: "ENXIO" }), 6],
    [new EsgzError("DIGEST_MISMATCH", "x"), 5],
    [new EsgzError("FILE_NOT_FOUND", "x"), 2],
    [new EsgzError("NO_SPACE", "x"), 28],
    [new TypeError("bug"), 5],
    ["text", 5],
    [undefined, 5],
  ];
  let reported = 0;
  for (const [value, errno] of thrown) {
    const filesystem: Filesystem = {
      ...BARE,
      access: () => {
        throw value;
      },
    };
    const { handler, replies } = createHandler(filesystem, { onError: () => (reported += 1) });
    handler.handle(request("ACCESS", { mask: 4 }));
    assert.deepEqual(
      replies().map((reply) => reply.errno),
      [errno],
    );
  }
  assert.equal(reported, thrown.length - 2);
});

test("a promise is answered when it settles, in whatever order", async () => {
  const [first, second] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
  const targets = [first.promise, second.promise];
  const { handler, replies } = createHandler({ ...BARE, readlink: () => targets.shift() ?? "" });
  handler.handle(request("READLINK", {}, 10n));
  handler.handle(request("READLINK", {}, 11n));
  assert.equal(handler.pending, 2);
  assert.deepEqual(replies(), []);
  second.resolve("b");
  await handler.settled();
  first.reject(new ErrnoError("ELOOP"));
  await handler.settled();
  assert.deepEqual(
    replies().map(({ unique, errno, body }) => [unique, errno, Buffer.from(body).toString()]),
    [
      [11n, 0, "b"],
      [10n, 40, ""],
    ],
  );
  assert.equal(handler.pending, 0);
});

test("INTERRUPT aborts the signal of its request, which then fails with EINTR", async () => {
  const signals: AbortSignal[] = [];
  const { handler, replies } = createHandler({
    ...BARE,
    readlink: (_, { signal }) => {
      signals.push(signal);
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      });
    },
  });
  handler.handle(request("READLINK", {}, 10n));
  handler.handle(request("READLINK", {}, 11n));
  handler.handle(request("INTERRUPT", { unique: 11n }));
  await handler.settled();
  assert.deepEqual(
    replies().map(({ unique, errno }) => [unique, errno]),
    [[11n, 4]],
  );
  assert.deepEqual(
    signals.map((signal) => signal.aborted),
    [false, true],
  );
});

test("a signal that is first looked at after the interrupt is aborted already", async () => {
  const gate = Promise.withResolvers<void>();
  const { handler, replies } = createHandler({
    ...BARE,
    readlink: async (_, context) => {
      await gate.promise;
      context.signal.throwIfAborted();
      return "late";
    },
  });
  handler.handle(request("READLINK", {}));
  handler.handle(request("INTERRUPT", { unique: 7n }));
  gate.resolve();
  await handler.settled();
  assert.deepEqual(
    replies().map(({ errno }) => errno),
    [4],
  );
});

test("deferred requests and their interrupts are handed on as they came", () => {
  const deferred: string[] = [];
  const defer = (message: Uint8Array): void => void deferred.push(Buffer.from(message).toString("hex"));
  const { handler, replies } = createHandler({ ...BARE, read: () => DEFERRED }, { defer });
  const [read, interrupt] = [request("READ", READ), request("INTERRUPT", { unique: 7n })];
  handler.handle(read);
  handler.handle(interrupt);
  assert.deepEqual(
    deferred,
    [read, interrupt].map((message) => Buffer.from(message).toString("hex")),
  );
  assert.deepEqual(replies(), []);
});

test("a deferred request that nobody answers fails", () => {
  assert.deepEqual(
    exchange({ ...BARE, read: () => DEFERRED }, "READ", READ).map(({ errno }) => errno),
    [5],
  );
});

test("content put into the buffer of a read is sent in one part, other content in two", () => {
  const sizes: number[][] = [];
  const send = (parts: readonly Uint8Array[]): void => void sizes.push(parts.map((part) => part.length));
  const inPlace = createHandler(
    { ...BARE, read: (_, { buffer }) => buffer.fill(1).subarray(0, 50) },
    { send },
  );
  inPlace.handler.handle(request("READ", READ));
  const apart = createHandler({ ...BARE, read: () => new Uint8Array(50) }, { send });
  apart.handler.handle(request("READ", READ));
  assert.deepEqual(sizes, [[66], [16, 50]]);
});

test("a read of more than was agreed on is refused before memory is taken", () => {
  const filesystem: Filesystem = { ...BARE, read: (_, { buffer }) => buffer };
  const replies = exchange(filesystem, "READ", { ...READ, size: 0xffff_ffff });
  assert.deepEqual(
    replies.map(({ errno }) => errno),
    [22],
  );
});

test("extended attributes: size, value, too little room, none", () => {
  const filesystem: Filesystem = {
    ...BARE,
    getxattr: (_, name) => (name === "user.a" ? Uint8Array.of(1, 2, 3) : undefined),
    listxattr: () => ["user.a", "user.bc"],
  };
  const ask = (name: OperationName, body: unknown): [number, string] => {
    const [reply] = exchange(filesystem, name, body);
    return [reply?.errno ?? -1, Buffer.from(reply?.body ?? []).toString("latin1")];
  };
  assert.deepEqual(ask("GETXATTR", { room: 0, name: "user.a" }), [0, "\x03\0\0\0\0\0\0\0"]);
  assert.deepEqual(ask("GETXATTR", { room: 3, name: "user.a" }), [0, "\x01\x02\x03"]);
  assert.deepEqual(ask("GETXATTR", { room: 2, name: "user.a" }), [34, ""]);
  assert.deepEqual(ask("GETXATTR", { room: 9, name: "user.b" }), [61, ""]);
  assert.deepEqual(ask("LISTXATTR", { room: 0 }), [0, "\x0f\0\0\0\0\0\0\0"]);
  assert.deepEqual(ask("LISTXATTR", { room: 15 }), [0, "user.a\0user.bc\0"]);
  assert.deepEqual(ask("LISTXATTR", { room: 14 }), [34, ""]);
});

test("READDIRPLUS forgets the entry that it took and that did not fit, and takes no more", () => {
  const forgotten: number[] = [];
  let taken = 0;
  const filesystem: Filesystem = {
    ...BARE,
    forget: (node) => void forgotten.push(node),
    *readdirplus() {
      for (let node = 10; ; node += 1) {
        taken += 1;
        const entry = {
          node,
          generation: 0,
          entryTimeoutMs: 0,
          attributesTimeoutMs: 0,
          attributes: ATTRIBUTES,
        };
        yield { name: `f${node}`, type: "reg", inode: node, offset: node, entry };
      }
    },
  };
  const [reply] = exchange(filesystem, "READDIRPLUS", { ...READ, size: 500 });
  const names = decodeDirectoryEntriesPlus(reply?.body ?? new Uint8Array()).map(({ name }) => name);
  assert.deepEqual(names, ["f10", "f11", "f12"]);
  assert.deepEqual(forgotten, [13]);
  assert.equal(taken, 4);
});

test("READDIRPLUS of a filesystem without it lists names without lookups", () => {
  const filesystem: Filesystem = {
    ...BARE,
    readdir: () => [{ name: "a", type: "dir", inode: 5, offset: 1 }],
  };
  const [reply] = exchange(filesystem, "READDIRPLUS", { ...READ, size: 4096 });
  assert.deepEqual(decodeDirectoryEntriesPlus(reply?.body ?? new Uint8Array()), [
    { name: "a", type: "dir", inode: 5, offset: 1 },
  ]);
});

test("names that are not UTF-8 come through both ways", () => {
  const names: string[] = [];
  const filesystem: Filesystem = {
    ...BARE,
    lookup: (_, name) => void names.push(name) as undefined,
    readlink: () => "x\udcff",
  };
  const { handler, replies } = createHandler(filesystem);
  handler.handle(encodeRequest(rawRequest({ opcode: 1, body: Uint8Array.of(0xff, 0x61, 0) })));
  handler.handle(request("READLINK", {}));
  assert.deepEqual(names, ["\udcffa"]);
  assert.deepEqual([...(replies()[1]?.body ?? [])], [0x78, 0xff]);
});

interface Reply {
  readonly unique: bigint;
  readonly errno: number;
  readonly body: Uint8Array;
}

function createHandler(
  filesystem: Filesystem,
  options: Partial<RequestHandlerOptions> = {},
): { readonly handler: RequestHandler; readonly replies: () => Reply[] } {
  const sent: Buffer[] = [];
  const send = (parts: readonly Uint8Array[]): void => void sent.push(Buffer.concat(parts));
  const handler = new RequestHandler(filesystem, { negotiated: NEGOTIATED, send, ...options });
  return { handler, replies: () => sent.map((message) => decodeReply(message)) };
}

function exchange(filesystem: Filesystem, name: OperationName, body: unknown): Reply[] {
  const { handler, replies } = createHandler(filesystem);
  handler.handle(request(name, body));
  return replies();
}

function request(name: OperationName, value: unknown, unique = 7n): Uint8Array {
  const { opcode, request: codec } = OPERATIONS[name];
  const body = encodeBody(codec as unknown as MessageCodec<unknown>, value);
  return encodeRequest(rawRequest({ opcode, body, unique }));
}

function rawRequest(fields: {
  readonly opcode: number;
  readonly body: Uint8Array;
  readonly unique?: bigint;
}): Parameters<typeof encodeRequest>[0] {
  const header = { opcode: fields.opcode, unique: fields.unique ?? 7n, node: 2, uid: 0, gid: 0, pid: 1 };
  return { header, body: fields.body, extensions: new Uint8Array() };
}
