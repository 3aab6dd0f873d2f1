import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeHex } from "../bytes/index.ts";
import { describeReply, describeRequest } from "./describe-message.ts";
import { createHelloFilesystem } from "./hello-filesystem.fixture.ts";
import { decodeBody, encodeBody } from "./message-codec.ts";
import { decodeReply, decodeRequest, encodeRequest } from "./message-header.ts";
import { negotiateInit } from "./negotiate-init.ts";
import { operationName, OPERATIONS } from "./operations.ts";
import { RECORDED_EXCHANGES, RECORDED_INIT } from "./recorded-session.fixture.ts";
import { RequestHandler } from "./request-handler.ts";

for (const { text, request, reply } of RECORDED_EXCHANGES) {
  test(`the recorded "${text}" is described so`, () => {
    assert.equal(describeRequest(bytesOf(request)), text);
  });

  test(`the recorded "${text}" is answered as the kernel took it`, () => {
    const sent: string[] = [];
    const handler = createHandler((parts) => sent.push(parts.map(encodeHex).join("")));
    handler.handle(bytesOf(request));
    assert.deepEqual(sent, [reply]);
  });

  test(`the recorded "${text}" is encoded to the same bytes`, () => {
    const raw = decodeRequest(bytesOf(request));
    const name = operationName(raw.header.opcode) ?? "INIT";
    const codec = OPERATIONS[name].request;
    const body = encodeBody(codec as never, decodeBody<unknown>(codec as never, raw.body) as never);
    assert.equal(encodeHex(encodeRequest({ ...raw, body })), request);
  });
}

test("the recorded INIT says what Linux 6.18 can do", () => {
  const { header, body } = decodeRequest(bytesOf(RECORDED_INIT));
  const init = decodeBody(OPERATIONS.INIT.request, body);
  assert.deepEqual([header.opcode, init.major, init.minor, init.maxReadahead], [26, 7, 45, 131_072]);
  for (const flag of ["passthrough", "hasResend", "maxPages", "initExt"] as const) {
    assert.ok(init.flags.has(flag), flag);
  }
  assert.equal(init.flags.has("submounts"), false);
});

test("describeReply() tells errors, sizes and notifications", () => {
  assert.equal(describeReply(bytesOf("10000000feffffff0600000000000000")), "tx 6: errno 2");
  assert.equal(describeReply(bytesOf("12000000000000000600000000000080abcd")), "tx 6: OK, 2 bytes");
  assert.equal(describeReply(bytesOf("10000000070000000000000000000000")), "tx notify 7: 0 bytes");
  assert.match(describeReply(bytesOf("1000")), /^tx invalid: /);
});

test("decodeReply() refuses a size that is not the message's", () => {
  assert.throws(() => decodeReply(bytesOf("11000000000000000600000000000000")), { code: "FUSE_INVALID" });
});

function createHandler(send: (parts: readonly Uint8Array[]) => void): RequestHandler {
  const { negotiated } = negotiateInit(bytesOf(RECORDED_INIT));
  assert.ok(negotiated !== undefined);
  return new RequestHandler(createHelloFilesystem(), { negotiated, send });
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}
