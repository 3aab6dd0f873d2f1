import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesBcrypt, parseBcrypt } from "./bcrypt.ts";

// Made by Apache's `htpasswd -nbB`, but for the first: a vector that came with the C implementation.
const HASHES = [
  { password: "U*U", hash: "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" },
  { password: "sesam öffne dich", hash: "$2y$05$Ujrvb.kWiVRN1E6B3GN4jO6I2vVNp6pBrppc1I.f3zlKK8BWPg876" },
  { password: "a".repeat(80), hash: "$2y$04$1O/hAmGko41IudsstFV45uMv1ch2nHPD2wl8n3bI9RT4bh4YKYtu2" },
];

test("matchesBcrypt() accepts the passwords of hashes that other programs made", async () => {
  for (const { password, hash } of HASHES) {
    assert.equal(await matchesBcrypt(password, parseBcrypt(hash)), true, hash);
  }
});

test("matchesBcrypt() rejects other passwords", async () => {
  for (const { password, hash } of HASHES) {
    assert.equal(await matchesBcrypt(`b${password}`, parseBcrypt(hash)), false, hash);
  }
});

test("parseBcrypt() refuses other hashes and costs that would block the server", () => {
  const other = "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";
  const costly = "$2y$31$Ujrvb.kWiVRN1E6B3GN4jO6I2vVNp6pBrppc1I.f3zlKK8BWPg876";
  for (const text of [other, costly, ""]) {
    assert.throws(() => parseBcrypt(text), { code: "CREDENTIALS_INVALID" });
  }
});
