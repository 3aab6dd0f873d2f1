/**
 * Whatever bytes come: a value or FUSE_INVALID, and a reply or none, never anything else.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { equalBytes } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { describeReply, describeRequest } from "./describe-message.ts";
import { decodeDirectoryEntries, decodeDirectoryEntriesPlus } from "./directory-messages.ts";
import { createHelloFilesystem } from "./hello-filesystem.fixture.ts";
import { decodeBody, encodeBody, type MessageCodec } from "./message-codec.ts";
import { decodeReply, decodeRequest, encodeRequest } from "./message-header.ts";
import { negotiateInit } from "./negotiate-init.ts";
import { decodeRetrieved } from "./notification.ts";
import { OPERATIONS } from "./operations.ts";
import { RequestHandler } from "./request-handler.ts";

const NEGOTIATED = { minor: 45, flags: [], maxRead: 65_536, maxWrite: 65_536 };
const bytes = fc.uint8Array({ maxLength: 400 });
/** Small numbers are likelier to be taken for sizes that fit. */
const smallBytes = fc
  .array(fc.constantFrom(0, 0, 0, 1, 2, 8, 0x61, 0xff), { maxLength: 300 })
  .map((list) => Uint8Array.from(list));
const anyBytes = fc.oneof(bytes, smallBytes);

for (const [name, { request, reply }] of Object.entries(OPERATIONS)) {
  test(`${name} decodes any bytes to a value or FUSE_INVALID, and encodes the value back`, () => {
    for (const codec of [request, reply] as MessageCodec<never>[]) {
      fc.assert(
        fc.property(anyBytes, (input) => checkCodec(codec, input)),
        { numRuns: 60 },
      );
    }
  });
}

test("headers, directories, notifications and INIT take any bytes", () => {
  const decoders = [
    decodeRequest,
    decodeReply,
    decodeDirectoryEntries,
    decodeDirectoryEntriesPlus,
    decodeRetrieved,
  ];
  fc.assert(
    fc.property(anyBytes, (input) => {
      for (const decode of decoders) valueOrInvalid(() => decode(input));
      assert.equal(typeof describeRequest(input), "string");
      assert.equal(typeof describeReply(input), "string");
      try {
        negotiateInit(input);
      } catch (error) {
        assert.ok(isEsgzError(error, "FUSE_INVALID") || isEsgzError(error, "NOT_SUPPORTED"));
      }
    }),
  );
});

test("a handler answers any request once, with a well-formed reply of bounded size", () => {
  fc.assert(
    fc.property(fc.nat(60), anyBytes, fc.boolean(), (opcode, body, silent) => {
      const sent: Buffer[] = [];
      const handler = new RequestHandler(createHelloFilesystem(), {
        negotiated: NEGOTIATED,
        send: (parts) => sent.push(Buffer.concat(parts)),
      });
      const header = { opcode, unique: 9n, node: silent ? 1 : 2, uid: 0, gid: 0, pid: 0 };
      handler.handle(encodeRequest({ header, body, extensions: new Uint8Array() }));
      const isSilent = [2, 36, 41, 42].includes(opcode);
      assert.equal(sent.length, isSilent ? 0 : 1);
      for (const message of sent) {
        assert.equal(decodeReply(message).unique, 9n);
        assert.ok(message.length <= NEGOTIATED.maxRead + 16);
      }
    }),
    { numRuns: 2000 },
  );
});

/** The first decoding may drop padding; what comes out then stays as it is. */
function checkCodec(codec: MessageCodec<never>, input: Uint8Array): void {
  const value = valueOrInvalid(() => decodeBody(codec, input));
  if (value === undefined) return;
  const again = valueOrInvalid(() => encodeBody(codec, value));
  assert.ok(again !== undefined);
  assert.deepEqual(decodeBody(codec, again), value);
  assert.ok(equalBytes(encodeBody(codec, decodeBody(codec, again)), again));
}

function valueOrInvalid<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    assert.ok(isEsgzError(error, "FUSE_INVALID"), String(error));
    return undefined;
  }
}
