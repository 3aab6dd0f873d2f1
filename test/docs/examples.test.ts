/**
 * Runs the TypeScript of every README: what is documented works.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";

const ROOT = resolve(import.meta.dirname, "../..");
const RESOLVER = new URL("source-resolver.ts", import.meta.url).href;
const scratch = mkdtempSync(join(tmpdir(), "esgz-docs-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

for (const file of documents()) {
  for (const [index, code] of blocksOf(file).entries()) {
    const name = relative(ROOT, file);
    test(`the example ${index + 1} of ${name} runs`, async () => {
      const path = join(scratch, `${name.replaceAll("/", "-")}-${index}.ts`);
      writeFileSync(path, code);
      const run = promisify(execFile)(process.execPath, ["--import", RESOLVER, path], {
        cwd: ROOT,
        env: { ...process.env, NODE_PATH: join(ROOT, "node_modules") },
        timeout: 240_000,
      });
      const { stderr } = await run;
      assert.equal(stderr, "");
    });
  }
}

function documents(): string[] {
  const modules = readdirSync(join(ROOT, "src")).map((name) => join(ROOT, "src", name, "README.md"));
  return [join(ROOT, "README.md"), ...modules].filter((path) => {
    try {
      return readFileSync(path).length > 0;
    } catch {
      return false;
    }
  });
}

function blocksOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? "");
}
