import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { CallContext, parseTimeout } from "./call-context.ts";

test("parseTimeout() reads digits and a unit", () => {
  assert.equal(parseTimeout(undefined), undefined);
  assert.equal(parseTimeout("2H"), 7_200_000);
  assert.equal(parseTimeout("3M"), 180_000);
  assert.equal(parseTimeout("4S"), 4000);
  assert.equal(parseTimeout("99999999m"), 99_999_999);
  assert.equal(parseTimeout("500u"), 0.5);
  assert.equal(parseTimeout("1000000n"), 1);
});

test("parseTimeout() refuses anything else", () => {
  for (const text of ["", "5", "S", "-1S", "1.5S", "123456789S", "1s"]) {
    assert.throws(() => parseTimeout(text), { code: Code.InvalidArgument }, text);
  }
});

test("a call has the metadata that was sent, and not the names of HTTP/2 itself", () => {
  const context = new CallContext({ ":path": "/a/b", "containerd-namespace": "k8s.io", "x-two": ["1", "2"] });
  assert.deepEqual(
    [...context.requestHeader],
    [
      ["containerd-namespace", "k8s.io"],
      ["x-two", "1, 2"],
    ],
  );
  assert.equal(context.timeoutMs, undefined);
});

test("the signal of a call fires when its time is over", async () => {
  const context = new CallContext({ "grpc-timeout": "1m" });
  // The timer of a call keeps no process alive.
  const awake = setInterval(() => undefined, 1000);
  await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
  clearInterval(awake);
  assert.ok(context.signal.reason instanceof ConnectError);
  assert.equal(context.signal.reason.code, Code.DeadlineExceeded);
  assert.equal(context.timeoutMs, 0);
});

test("what is left of a call's time can be told to another server: whole milliseconds", () => {
  const { timeoutMs = -1 } = new CallContext({ "grpc-timeout": "1999999u" });
  assert.ok(Number.isInteger(timeoutMs), `${timeoutMs}`);
  assert.ok(timeoutMs > 0 && timeoutMs <= 2000, `${timeoutMs}`);
});
