import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { processEnvironment } from "../environment.ts";
import { createProgram } from "../program.ts";

const environment = { ...processEnvironment(new AbortController().signal), uid: 1234 };

for (const [flag, message] of [
  [
    "--rw",
    /^Cannot mount "r\.example\/app" with a writable layer at ".*": expected root, got another user \(esgz run has one; without --rw it mounts\)$/,
  ],
  [
    "--layers",
    /^Cannot mount "r\.example\/app" layer by layer at ".*": expected root, got another user \(without --layers it mounts\)$/,
  ],
] as const) {
  test(`esgz mount ${flag} of a user who is not root is refused before a daemon is asked`, async () => {
    const words = ["mount", flag, "r.example/app", tmpdir(), "--store", "/no/store"];
    const program = await createProgram(environment, words);
    await assert.rejects(program.parseAsync(words, { from: "user" }), { code: "NOT_SUPPORTED", message });
  });
}
