import assert from "node:assert/strict";
import { test } from "node:test";
import { covers, formatScopes, parseScopes } from "./access-scope.ts";

test("parseScopes() reads several scopes from one text or many", () => {
  const app = { type: "repository", name: "team/app", actions: ["pull", "push"] };
  const base = { type: "repository", name: "base", actions: ["pull"] };
  assert.deepEqual(parseScopes(["repository:team/app:push,pull repository:base:pull"]), [app, base]);
  assert.deepEqual(parseScopes(["repository:team/app:pull,push", "repository:base:pull"]), [app, base]);
  assert.deepEqual(parseScopes(["registry:catalog:*"]), [
    { type: "registry", name: "catalog", actions: ["*"] },
  ]);
});

test("parseScopes() drops what it does not understand", () => {
  const odd = [
    "",
    ":",
    "repository",
    "repository:a",
    "repository:../a:pull",
    "repository:A:pull",
    "x:a:pull",
  ];
  assert.deepEqual(parseScopes([...odd, "repository:a:fly", "registry:other:*"]), []);
});

test("formatScopes() writes what parseScopes() reads", () => {
  const text = "repository:team/app:pull,push registry:catalog:*";
  assert.equal(formatScopes(parseScopes([text])), text);
});

test("covers() wants every action of the very repository", () => {
  const granted = parseScopes(["repository:a:pull,push"]);
  assert.equal(covers(granted, parseScopes(["repository:a:pull"])), true);
  assert.equal(covers(granted, parseScopes(["repository:a:pull,delete"])), false);
  assert.equal(covers(granted, parseScopes(["repository:b:pull"])), false);
  assert.equal(covers(parseScopes(["repository:a:*"]), parseScopes(["repository:a:delete"])), true);
});
