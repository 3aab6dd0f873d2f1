import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { cliReference } from "../../src/cli/cli-reference.ts";
import { processEnvironment } from "../../src/cli/environment.ts";
import { createProgram } from "../../src/cli/program.ts";

test("docs/cli.md is what the command table says (npm run reference writes it)", async () => {
  const program = await createProgram(processEnvironment(new AbortController().signal));
  const page = readFileSync(join(import.meta.dirname, "../../docs/cli.md"), "utf8");
  assert.equal(page, cliReference(program));
});
