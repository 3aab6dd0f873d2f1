import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseErrorBody } from "./error-body.ts";

test("parseErrorBody() reads the first error of a registry", () => {
  const body =
    '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}},{"code":"B"}]}';
  assert.deepEqual(parseErrorBody(body), { code: "MANIFEST_UNKNOWN", message: "manifest unknown" });
});

test("parseErrorBody() reads the answers of token servers", () => {
  assert.deepEqual(parseErrorBody('{"details":"incorrect username or password"}'), {
    code: "",
    message: "incorrect username or password",
  });
  assert.deepEqual(parseErrorBody('{"error":"invalid_grant","error_description":"expired"}'), {
    code: "invalid_grant",
    message: "expired",
  });
});

test("parseErrorBody() drops query strings, users in URLs and control characters from messages", () => {
  const message = "see https://user:pw@store/x?X-Amz-Signature=abc now\n\u001b[31mred";
  assert.deepEqual(parseErrorBody(JSON.stringify({ errors: [{ code: "DENIED", message }] })), {
    code: "DENIED",
    message: "see https://store/x now [31mred",
  });
});

test("parseErrorBody() says nothing for bodies that say nothing", () => {
  for (const body of ["", "<html>502</html>", "null", "[]", "{}", '{"errors":[]}', '{"errors":{"code":1}}']) {
    assert.equal(parseErrorBody(body), undefined, body);
  }
});

test("parseErrorBody() gives short printable lines for any JSON", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string().map((message) => JSON.stringify({ message })),
      ),
      (body) => {
        const fault = parseErrorBody(body);
        if (fault === undefined) return;
        assert.ok(fault.message.length <= 301 && fault.code.length <= 64);
        assert.doesNotMatch(fault.message, /\p{Cc}/u);
      },
    ),
  );
});
