import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readVariables } from "./variables.ts";

test("readVariables() takes files, then flags, and values of this environment for bare names", () => {
  const directory = mkdtempSync(join(tmpdir(), "esgz-variables-"));
  try {
    const file = join(directory, "env");
    writeFileSync(file, "# comment\n\nA=from file\nB=x=y \r\nHOME\n");
    assert.deepEqual(
      readVariables({ envFile: [file], env: ["A=flag", "TERM", "UNSET"] }, { HOME: "/h", TERM: "xterm" }),
      ["A=from file", "B=x=y ", "HOME=/h", "A=flag", "TERM=xterm"],
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("readVariables() refuses names that are none", () => {
  for (const text of ["=x", "", "a b=c"])
    assert.throws(() => readVariables({ env: [text] }, {}), { code: "USAGE_INVALID" });
  assert.throws(() => readVariables({ envFile: ["/no/such/file"] }, {}), { code: "USAGE_INVALID" });
});
