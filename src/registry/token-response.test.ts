import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { parseTokenResponse } from "./token-response.ts";

test("parseTokenResponse() takes token, then access_token, and 60 seconds by default", () => {
  assert.deepEqual(parseTokenResponse('{"token":"t","access_token":"a","expires_in":300}'), {
    token: "t",
    expiresInSeconds: 300,
  });
  assert.deepEqual(parseTokenResponse('{"access_token":"a"}'), { token: "a", expiresInSeconds: 60 });
  assert.deepEqual(parseTokenResponse('{"token":"t","expires_in":-5}'), { token: "t", expiresInSeconds: 60 });
});

test("parseTokenResponse() gives a sendable token or a typed error for any text", () => {
  const likely = fc
    .record({ token: fc.string(), expires_in: fc.anything() })
    .map((value) => JSON.stringify(value));
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), likely), (text) => {
      try {
        const { token, expiresInSeconds } = parseTokenResponse(text);
        assert.match(token, /^[\x21-\x7e]+$/);
        assert.ok(expiresInSeconds > 0 && expiresInSeconds <= 86_400);
      } catch (error) {
        assert.ok(isEsgzError(error, "REGISTRY_PROTOCOL"));
      }
    }),
  );
});
