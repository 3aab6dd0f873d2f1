import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeScopes, repositoryScope } from "./token-scope.ts";

test("repositoryScope() writes the scope of token servers", () => {
  assert.equal(repositoryScope("library/busybox", ["pull", "push"]), "repository:library/busybox:pull,push");
});

test("mergeScopes() joins actions, splits lists, sorts", () => {
  assert.deepEqual(
    mergeScopes([
      "repository:b:push,pull",
      "repository:a:pull repository:b:delete",
      "",
      "registry:catalog:*",
    ]),
    ["registry:catalog:*", "repository:a:pull", "repository:b:delete,pull,push"],
  );
});

test("mergeScopes() keeps ports in resource names", () => {
  assert.deepEqual(mergeScopes(["repository:host:5000/a:pull"]), ["repository:host:5000/a:pull"]);
});
