import assert from "node:assert/strict";
import { test } from "node:test";
import { formatImageName, parseImageName } from "../image/index.ts";
import { tocImageNameOf } from "./toc-image.ts";

test("tocImageNameOf() appends to the tag", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["localhost:5000/a/b:1", "localhost:5000/a/b:1-esgztoc"],
    ["python", "docker.io/library/python:latest-esgztoc"],
    ["oci:dir:v1", "oci:dir:v1-esgztoc"],
    ["oci:dir", "oci:dir:latest-esgztoc"],
  ];
  for (const [name, expected] of cases) {
    assert.equal(formatImageName(tocImageNameOf(parseImageName(name))), expected);
  }
});

test("tocImageNameOf() refuses names without a tag to derive from", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  for (const name of [
    `localhost:5000/a@${digest}`,
    `localhost:5000/a:1@${digest}`,
    "dir:d",
    "docker-archive:f.tar:a:1",
  ]) {
    assert.throws(() => tocImageNameOf(parseImageName(name)), { code: "NOT_SUPPORTED" });
  }
});
