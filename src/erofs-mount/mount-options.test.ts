import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeDeviceOptions,
  encodeOverlayOptions,
  escapeBackslashes,
  escapeOverlayPath,
  optionSize,
} from "./mount-options.ts";

test("escapeOverlayPath() hides what separates directories and options", () => {
  assert.equal(escapeOverlayPath("/plain-path_1"), "/plain-path_1");
  assert.equal(escapeOverlayPath(String.raw`/a:b,c\d`), String.raw`/a\:b\,c\\d`);
});

test("escapeBackslashes() doubles backslashes only", () => {
  assert.equal(escapeBackslashes(String.raw`/a:b,c\d\:`), String.raw`/a:b,c\\d\\:`);
});

test("encodeOverlayOptions() writes directories, then settings", () => {
  const text = encodeOverlayOptions({
    lower: ["/top:1", "/bottom"],
    upper: "/up,per",
    work: "/work",
    settings: { userxattr: true, metacopy: "off" },
  });
  assert.equal(
    text,
    String.raw`lowerdir=/top\:1:/bottom,upperdir=/up\,per,workdir=/work,userxattr,metacopy=off`,
  );
});

test("encodeDeviceOptions() names each device", () => {
  assert.equal(encodeDeviceOptions(["/a", "/b c"]), "device=/a,device=/b c");
  assert.equal(encodeDeviceOptions([]), "");
});

test("optionSize() counts bytes, not characters", () => {
  assert.equal(optionSize("/é"), 3);
});

test("an escaped list of directories can be told apart again", () => {
  const path = fc.stringMatching(/^\/[a:,\\]{0,12}$/);
  fc.assert(
    fc.property(fc.array(path, { minLength: 1, maxLength: 5 }), (lower) => {
      const text = encodeOverlayOptions({ lower, settings: {} });
      assert.deepEqual(splitLower(text.slice("lowerdir=".length)), lower);
    }),
  );
});

/** What the kernel does with `lowerdir`: a backslash hides the next character, a colon ends a directory. */
function splitLower(text: string): string[] {
  const paths = [""];
  for (let at = 0; at < text.length; at += 1) {
    const isHidden = text[at] === "\\";
    if (isHidden) at += 1;
    if (!isHidden && text[at] === ":") paths.push("");
    else paths.push(`${paths.pop() ?? ""}${text[at] ?? ""}`);
  }
  return paths;
}
