import assert from "node:assert/strict";
import { test } from "node:test";
import { EsgzError, firstErrorOf, ioCodeOf, isEsgzError, messageOf, systemCodeOf } from "./esgz-error.ts";

const refused = (code: string): Error => Object.assign(new Error(`${code}: refused`), { code });

test("ioCodeOf() tells a full disk from all else that the system refuses", () => {
  const thrown = [
    refused("ENOSPC"),
    refused("EDQUOT"),
    refused("EACCES"),
    new Error("x"),
    undefined,
    "ENOSPC",
  ];
  assert.deepEqual(thrown.map(ioCodeOf), [
    "NO_SPACE",
    "NO_SPACE",
    "IO_FAILED",
    "IO_FAILED",
    "IO_FAILED",
    "IO_FAILED",
  ]);
});

test("systemCodeOf() and messageOf() take whatever was thrown", () => {
  const thrown = [refused("ENOENT"), { code: 5 }, null, "text"];
  assert.deepEqual(thrown.map(systemCodeOf), ["ENOENT", undefined, undefined, undefined]);
  assert.deepEqual(thrown.map(messageOf), ["ENOENT: refused", "[object Object]", "null", "text"]);
});

test("firstErrorOf() gives what failed before cleaning up failed as well", async () => {
  const first = new EsgzError("TAR_INVALID", "Cannot read tar");
  const thrown = await (async (): Promise<void> => {
    await using _outer = { [Symbol.asyncDispose]: () => Promise.reject(new Error("outer")) };
    await using _inner = { [Symbol.asyncDispose]: () => Promise.reject(new Error("inner")) };
    throw first;
  })().catch((error: unknown) => error);
  assert.equal(firstErrorOf(thrown), first);
  assert.equal(firstErrorOf("else"), "else");
  assert.ok(isEsgzError(first, "TAR_INVALID") && !isEsgzError(first, "IO_FAILED") && !isEsgzError(thrown));
});
