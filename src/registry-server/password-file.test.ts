import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePasswordFile } from "./password-file.ts";

const ALICE = "alice:$2y$05$Ujrvb.kWiVRN1E6B3GN4jO6I2vVNp6pBrppc1I.f3zlKK8BWPg876";

test("PasswordFile accepts a user's password, again and again, and nothing else", async () => {
  const users = parsePasswordFile(`# people\n\n${ALICE}\n`);
  const right = { user: "alice", password: "sesam öffne dich" };
  assert.equal(await users.accepts(right), true);
  assert.equal(await users.accepts(right), true);
  assert.equal(await users.accepts({ ...right, password: "sesam" }), false);
  assert.equal(await users.accepts({ ...right, user: "bob" }), false);
});

test("parsePasswordFile() names the line that it cannot read, not what is in it", () => {
  assert.throws(
    () => parsePasswordFile(`${ALICE}\nbob:{SHA}secret`),
    (error: Error) => {
      assert.match(error.message, /^Cannot read htpasswd line 2: /);
      assert.doesNotMatch(error.message, /secret/);
      return true;
    },
  );
  assert.throws(() => parsePasswordFile("nobody"), { code: "CONFIGURATION_INVALID" });
});
