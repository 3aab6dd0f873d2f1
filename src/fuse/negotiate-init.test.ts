import assert from "node:assert/strict";
import { test } from "node:test";
import type { InitFlag } from "./init-flags.ts";
import { initReplyCodec, initRequestCodec, type InitReply } from "./init-message.ts";
import { decodeBody, encodeBody } from "./message-codec.ts";
import { decodeReply, encodeRequest } from "./message-header.ts";
import { negotiateInit, refuseInit, type FuseFeatures } from "./negotiate-init.ts";

const ALL: readonly InitFlag[] = [
  "asyncRead",
  "maxPages",
  "initExt",
  "hasResend",
  "passthrough",
  "doReaddirplus",
];

test("negotiateInit() takes the older minor version and only flags that the kernel has", () => {
  const { reply } = negotiate({ minor: 31, flags: ["asyncRead", "maxPages"] }, { passthrough: true });
  assert.equal(reply.minor, 31);
  assert.deepEqual([...reply.flags].sort(), ["asyncRead", "maxPages"]);
  assert.equal(reply.maxStackDepth, 0);
});

test("negotiateInit() never claims a later version than it speaks", () => {
  assert.equal(negotiate({ minor: 99, flags: ALL }).reply.minor, 45);
});

test("negotiateInit() agrees on features that are asked for", () => {
  const { reply, negotiated } = negotiate(
    { minor: 45, flags: ALL },
    { passthrough: true, readdirplus: "always", maxRead: 131_072, maxBackground: 8, maxReadahead: 4096 },
  );
  assert.deepEqual([...reply.flags].sort(), [...ALL].sort());
  assert.deepEqual(
    [reply.maxStackDepth, reply.maxPages, reply.maxBackground, reply.congestionThreshold, reply.maxReadahead],
    [1, 32, 8, 6, 4096],
  );
  assert.equal(negotiated?.maxRead, 131_072);
});

test("negotiateInit() limits reads to 1 MiB", () => {
  assert.equal(negotiate({ minor: 45, flags: ALL }, { maxRead: 2 ** 30 }).reply.maxPages, 256);
});

test("negotiateInit() asks a kernel of a later major version to come again", () => {
  const { reply, negotiated } = negotiate({ major: 8, minor: 0, flags: ALL });
  assert.deepEqual([reply.major, negotiated], [7, undefined]);
});

test("negotiateInit() refuses kernels that are too old", () => {
  assert.throws(() => negotiate({ minor: 30, flags: ALL }), {
    code: "NOT_SUPPORTED",
    details: { major: 7, minor: 30 },
  });
  assert.throws(() => negotiate({ major: 6, minor: 99, flags: ALL }), { code: "NOT_SUPPORTED" });
  assert.equal(decodeReply(refuseInit(init({ minor: 30, flags: [] }))).errno, 71);
});

test("negotiateInit() refuses other requests", () => {
  const header = { opcode: 1, unique: 1n, node: 1, uid: 0, gid: 0, pid: 0 };
  const message = encodeRequest({ header, body: Uint8Array.of(0x61, 0), extensions: new Uint8Array() });
  assert.throws(() => negotiateInit(message), { code: "FUSE_INVALID" });
});

interface Kernel {
  readonly major?: number;
  readonly minor: number;
  readonly flags: readonly InitFlag[];
}

function negotiate(
  kernel: Kernel,
  features?: FuseFeatures,
): { readonly reply: InitReply; readonly negotiated: ReturnType<typeof negotiateInit>["negotiated"] } {
  const { reply, negotiated } = negotiateInit(init(kernel), features);
  const { unique, errno, body } = decodeReply(reply);
  assert.deepEqual([unique, errno], [2n, 0]);
  return { reply: decodeBody(initReplyCodec, body), negotiated };
}

function init({ major = 7, minor, flags }: Kernel): Uint8Array {
  const body = encodeBody(initRequestCodec, { major, minor, maxReadahead: 131_072, flags: new Set(flags) });
  const header = { opcode: 26, unique: 2n, node: 0, uid: 0, gid: 0, pid: 0 };
  return encodeRequest({ header, body, extensions: new Uint8Array() });
}
