import assert from "node:assert/strict";
import { posix } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { cleanPath } from "./index.ts";

void test("cleanPath() makes a name a path inside its root", () => {
  const cases: Readonly<Record<string, string>> = {
    "": "",
    ".": "",
    "..": "",
    "/": "",
    "./": "",
    a: "a",
    "./d/": "d",
    "/abs": "abs",
    "../up": "up",
    "a/../../b": "b",
    "a//b/./c/": "a/b/c",
    "a/..": "",
    "..a/.b./...": "..a/.b./...",
    ".wh.a": ".wh.a",
    "a/.wh..wh..opq": "a/.wh..wh..opq",
    "dc\udcff/\nx": "dc\udcff/\nx",
  };
  for (const [name, path] of Object.entries(cases)) assert.equal(cleanPath(name), path, JSON.stringify(name));
});

void test("cleanPath() agrees with POSIX normalization below a root", () => {
  const part = fc.constantFrom("", ".", "..", "a", "b.", ".c", "..d", "...");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const name = parts.join("/");
      assert.equal(cleanPath(name), posix.normalize(`/${name}`).replace(/^\/|\/$/gu, ""));
    }),
    { numRuns: 2000 },
  );
});
