// The store where JavaScript cannot make system calls: weaker in what it keeps, not in what it gives.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { scratchDirectory } from "./sample-layer.fixture.ts";

const NO_KOFFI = `import { registerHooks } from "node:module";
registerHooks({ resolve(name, context, next) {
  if (name === "koffi") throw new Error("there is no koffi");
  return next(name, context);
} });
`;

const SUITES = [
  { name: "hostile-files", pattern: "." },
  { name: "layer-threads", pattern: "." },
  { name: "crash", pattern: "bit|any order" },
];

for (const { name, pattern } of SUITES) {
  test(`what ${name}.test.ts says holds without native calls`, async () => {
    await using directory = await scratchDirectory();
    const preload = join(directory.path, "no-koffi.mjs");
    await writeFile(preload, NO_KOFFI);
    const file = join(import.meta.dirname, `${name}.test.ts`);
    // Without the variable by which a test runner tells its children to report in its own format.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = promisify(execFile)(
      process.execPath,
      ["--import", preload, `--test-name-pattern=${pattern}`, file],
      { env },
    );
    const { stdout } = await run.catch((error: { stdout: string }) => error);
    assert.match(stdout, /^(ℹ|#) fail 0$/m, stdout);
    assert.match(stdout, /^(ℹ|#) pass [1-9]/m);
  });
}
