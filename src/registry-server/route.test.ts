import assert from "node:assert/strict";
import { normalize } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { DirectoryLayout } from "./directory-layout.ts";
import { RegistryProblem } from "./registry-problem.ts";
import { parseRoute, type Route } from "./route.ts";

const HEX = "a".repeat(64);
const DIGEST = `sha256:${HEX}`;
const ID = "0123abcd-0000-4000-8000-00000000abcd";

test("parseRoute() knows the endpoints", () => {
  const routes: readonly (readonly [string, Route])[] = [
    ["/", { kind: "root" }],
    ["/v2", { kind: "base" }],
    ["/v2/", { kind: "base" }],
    ["/v2/_catalog", { kind: "catalog" }],
    ["/token", { kind: "token" }],
    [`/v2/a/blobs/sha256:${HEX}`, { kind: "blob", repository: "a", digest: `sha256:${HEX}` }],
    [`/v2/a/blobs/sha256%3A${HEX}`, { kind: "blob", repository: "a", digest: `sha256:${HEX}` }],
    ["/v2/a/b/blobs/uploads/", { kind: "uploads", repository: "a/b" }],
    ["/v2/a/b/blobs/uploads", { kind: "uploads", repository: "a/b" }],
    [`/v2/a/blobs/uploads/${ID}`, { kind: "upload", repository: "a", id: ID }],
    ["/v2/a/manifests/latest", { kind: "manifest", repository: "a", reference: "latest" }],
    ["/v2/manifests/manifests/x", { kind: "manifest", repository: "manifests", reference: "x" }],
    ["/v2/a/manifests/manifests/x", { kind: "manifest", repository: "a/manifests", reference: "x" }],
    ["/v2/a/tags/list", { kind: "tags", repository: "a" }],
    [`/v2/a/referrers/sha256:${HEX}`, { kind: "referrers", repository: "a", digest: `sha256:${HEX}` }],
  ];
  for (const [path, route] of routes) assert.deepEqual(parseRoute(path), route, path);
});

test("parseRoute() knows no other paths", () => {
  for (const path of ["/v1/", "/v2/a", "/v2/a/tags", "/v2//tags", "/v2/manifests/x", "/tokens", ""]) {
    assert.equal(parseRoute(path), undefined, path);
  }
});

test("parseRoute() refuses names that are none", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["/v2/../manifests/x", "NAME_INVALID"],
    ["/v2/a/../b/manifests/x", "NAME_INVALID"],
    ["/v2/%2e%2e/manifests/x", "NAME_INVALID"],
    ["/v2/a%2F..%2Fb/manifests/x", "NAME_INVALID"],
    ["/v2/a%00/manifests/x", "NAME_INVALID"],
    ["/v2/A/manifests/x", "NAME_INVALID"],
    ["/v2/_uploads/manifests/x", "NAME_INVALID"],
    [`/v2/${"a".repeat(256)}/tags/list`, "NAME_INVALID"],
    ["/v2/%zz/manifests/x", "NAME_INVALID"],
    ["/v2/a/blobs/sha256:..", "DIGEST_INVALID"],
    ["/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"],
    [`/v2/a/blobs/${DIGEST.toUpperCase()}`, "DIGEST_INVALID"],
    ["/v2/a/referrers/x", "DIGEST_INVALID"],
    ["/v2/a/blobs/uploads/..", "BLOB_UPLOAD_UNKNOWN"],
    ["/v2/a/blobs/uploads/%2e%2e%2fx", "BLOB_UPLOAD_UNKNOWN"],
  ];
  for (const [path, code] of refused) assert.throws(() => parseRoute(path), { code }, path);
});

test("no path leads out of the root, or to the files of something else", () => {
  const layout = new DirectoryLayout("/root");
  const part = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.constantFrom(
      "..",
      ".",
      "%2e%2e",
      "%2f",
      "_tags",
      "_blobs",
      "a",
      "blobs",
      "uploads",
      "manifests",
      "\0",
      ID,
      DIGEST,
    ),
  );
  const path = fc.array(part, { maxLength: 8 }).map((parts) => `/v2/${parts.join("/")}`);
  fc.assert(
    fc.property(path, (text) => {
      const route = routeOrProblem(text);
      if (route === undefined || !("repository" in route)) return;
      const folder = layout.repository(route.repository);
      assert.equal(folder, normalize(folder));
      assert.match(folder, /^\/root\/repositories(?:\/[a-z0-9][a-z0-9._-]*)+$/);
      if (route.kind !== "upload") return;
      assert.equal(layout.upload(route), `${folder}/_uploads/${route.id}`);
      assert.equal(layout.upload(route), normalize(layout.upload(route)));
    }),
  );
});

function routeOrProblem(text: string): Route | undefined {
  try {
    return parseRoute(text);
  } catch (error) {
    assert.ok(error instanceof RegistryProblem);
    return undefined;
  }
}
