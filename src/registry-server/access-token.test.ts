import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { signToken, type TokenClaims, verifyToken } from "./access-token.ts";

const SECRET = new Uint8Array(32).fill(7);
const CLAIMS: TokenClaims = {
  iss: "r",
  sub: "alice",
  aud: "r",
  iat: 1000,
  exp: 1300,
  use: "access",
  access: [{ type: "repository", name: "app", actions: ["pull"] }],
};
const EXPECTED = { aud: "r", use: "access", nowMs: 1_299_999 } as const;

test("verifyToken() gives back what was signed", () => {
  assert.deepEqual(verifyToken(signToken(CLAIMS, SECRET), SECRET, EXPECTED), CLAIMS);
});

test("signToken() signs as RFC 7515 has it", () => {
  const [header = "", body = "", signature] = signToken(CLAIMS, SECRET).split(".");
  assert.equal(Buffer.from(header, "base64url").toString(), '{"alg":"HS256","typ":"JWT"}');
  assert.equal(signature, createHmac("sha256", SECRET).update(`${header}.${body}`).digest("base64url"));
});

test("verifyToken() refuses tokens that are over, for others, or of another kind", () => {
  const token = signToken(CLAIMS, SECRET);
  assert.equal(verifyToken(token, SECRET, { ...EXPECTED, nowMs: 1_300_000 }), undefined);
  assert.equal(verifyToken(token, SECRET, { ...EXPECTED, aud: "other" }), undefined);
  assert.equal(verifyToken(token, SECRET, { ...EXPECTED, use: "refresh" }), undefined);
});

test("verifyToken() refuses forged tokens", () => {
  const token = signToken(CLAIMS, SECRET);
  const [, body = ""] = token.split(".");
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString("base64url");
  const forged = [
    signToken(CLAIMS, new Uint8Array(32)),
    `${none}.${body}.`,
    `${token}x`,
    token.slice(0, -1),
    `${token}.more`,
    "",
    "a.b.c",
  ];
  for (const one of forged) assert.equal(verifyToken(one, SECRET, EXPECTED), undefined, one);
});
