import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { formatReference, parseReference } from "./reference.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;

const VALID: Readonly<Record<string, string>> = {
  python: "docker.io/library/python:latest",
  "python:3.12-slim": "docker.io/library/python:3.12-slim",
  "docker.io/python": "docker.io/library/python:latest",
  "index.docker.io/foo/bar": "docker.io/foo/bar:latest",
  "registry-1.docker.io/library/python": "docker.io/library/python:latest",
  "foo/bar:1": "docker.io/foo/bar:1",
  "localhost/x": "localhost/x:latest",
  "localhost:5000/a/b:c": "localhost:5000/a/b:c",
  "[::1]:5000/x": "[::1]:5000/x:latest",
  "public.ecr.aws/modal/x:y": "public.ecr.aws/modal/x:y",
  "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app__x/y-z:v1":
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app__x/y-z:v1",
  [`ghcr.io/a/b@${DIGEST}`]: `ghcr.io/a/b@${DIGEST}`,
  [`ghcr.io/a/b:tag@${DIGEST}`]: `ghcr.io/a/b:tag@${DIGEST}`,
};

for (const [text, full] of Object.entries(VALID)) {
  test(`parseReference() reads ${text}`, () => {
    assert.equal(formatReference(parseReference(text)), full);
  });
}

const INVALID = [
  "",
  "Python",
  "a//b",
  "/a",
  "a/",
  "a:b:c",
  "a:",
  "a@sha256:12",
  `a@md5:${"a".repeat(32)}`,
  "host.example:99999/a",
  "-x.example/a",
  "a/../b",
  "a/./b",
  "a b",
  `${"x/".repeat(200)}x`,
  `x:${"t".repeat(129)}`,
  "[::1/x",
];

for (const text of INVALID) {
  test(`parseReference() refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(() => parseReference(text), { code: "REFERENCE_INVALID" });
  });
}

test("parseReference() of any text is a reference that survives its own format, or a typed error", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        const reference = parseReference(text);
        assert.deepEqual(parseReference(formatReference(reference)), reference);
      } catch (error) {
        assert.ok(isEsgzError(error, "REFERENCE_INVALID"));
      }
    }),
  );
});
