import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseGlob } from "./path-glob.ts";

const CASES: readonly (readonly [pattern: string, path: string, matches: boolean])[] = [
  ["usr/bin/python3", "usr/bin/python3", true],
  ["/usr/bin/python3", "usr/bin/python3", true],
  ["./usr//bin/python3", "usr/bin/python3", true],
  ["usr/bin", "usr/bin/python3", false],
  ["usr/*/python3", "usr/bin/python3", true],
  ["usr/*", "usr/bin/python3", false],
  ["*", "etc", true],
  ["*", ".hidden", true],
  ["usr/bin/py*3", "usr/bin/python3", true],
  ["usr/bin/py*3", "usr/bin/py3", true],
  ["usr/bin/p*t*n*", "usr/bin/python3", true],
  ["usr/bin/p*x*n*", "usr/bin/python3", false],
  ["lib?", "lib6", true],
  ["lib?", "lib", false],
  ["lib?", "lib64", false],
  ["?", "é", true],
  ["?", "\u{1f40b}", true],
  ["a?b", "a/b", false],
  ["lib[0-9]", "lib6", true],
  ["lib[0-9]", "libx", false],
  ["lib[!0-9]", "libx", true],
  ["lib[^0-9]", "lib6", false],
  ["lib[abc-]", "lib-", true],
  ["lib[]x]", "lib]", true],
  ["a[^b]c", "a/c", false],
  ["usr/bin/[", "usr/bin/[", true],
  ["a[b", "a[b", true],
  ["a\\*b", "a*b", true],
  ["a\\*b", "axb", false],
  ["**", "any/depth/at/all", true],
  ["**/x.py", "x.py", true],
  ["**/x.py", "a/b/x.py", true],
  ["usr/**/x.py", "usr/x.py", true],
  ["usr/**/x.py", "usr/a/b/c/x.py", true],
  ["usr/**/x.py", "opt/x.py", false],
  ["usr/**", "usr", true],
  ["usr/**", "usr/lib/x", true],
  ["usr/**", "usrx/lib", false],
  ["usr/**.py", "usr/x.py", true],
  ["usr/**.py", "usr/a/x.py", false],
  ["**/a/**/b/**", "x/a/y/z/b/c", true],
  ["**/a/**/b/**", "x/a/y/z/c", false],
  ["{a,b}", "a", false],
  ["{a,b}", "{a,b}", true],
];

for (const [pattern, path, matches] of CASES) {
  test(`parseGlob() ${JSON.stringify(pattern)} ${matches ? "matches" : "does not match"} ${JSON.stringify(path)}`, () => {
    assert.equal(parseGlob(pattern).matches(path), matches);
  });
}

test("parseGlob() knows plain paths from globs", () => {
  assert.equal(parseGlob("usr/bin/[").plain, true);
  assert.equal(parseGlob("usr/bin/python3").plain, true);
  assert.equal(parseGlob("usr/*/python3").plain, false);
  assert.equal(parseGlob("usr/**").plain, false);
});

test("parseGlob() takes time in proportion where backtracking would not end", () => {
  const glob = parseGlob(`${"a*".repeat(60)}b`);
  assert.equal(glob.matches("a".repeat(5000)), false);
  assert.equal(parseGlob("**/a/".repeat(30) + "b").matches("a/".repeat(500) + "c"), false);
});

test("parseGlob() accepts any text, and a path escaped character by character matches itself", () => {
  const name = fc
    .string({ minLength: 1, maxLength: 12, unit: "binary" })
    .filter((text) => !/[/\0]/.test(text));
  const part = name.filter((text) => text !== "." && text !== "..");
  fc.assert(
    fc.property(
      fc.array(part, { minLength: 1, maxLength: 4 }),
      fc.string({ maxLength: 30 }),
      (parts, noise) => {
        const path = parts.join("/");
        const escaped = Array.from(path, (c) => (c === "/" ? c : `\\${c}`)).join("");
        assert.equal(parseGlob(escaped).matches(path), true);
        parseGlob(noise).matches(path);
      },
    ),
  );
});
