import assert from "node:assert/strict";
import { test } from "node:test";
import { isEsgzError } from "../errors/index.ts";
import { type PathTree, resolvePath } from "./resolve-path.ts";

/** Directories; texts that begin with `>` are symlinks, others files. */
type Node = string | { readonly [name: string]: Node };

function treeOf(root: Node): PathTree<Node> {
  return {
    root,
    child: (node, name) => (typeof node === "string" ? undefined : node[name]),
    targetOf: (node) => (typeof node === "string" && node.startsWith(">") ? node.slice(1) : undefined),
  };
}

const TREE = treeOf({
  usr: { lib: { one: "1" }, up: ">../../../../usr/lib" },
  lib: ">usr/lib",
  root: ">/",
  file: "f",
  circle: ">circle",
});

test("resolvePath() gives the names behind symlinks, none of which leads out of the root", () => {
  const found = ["", "/", "lib/one", "usr/up/one", "root/lib/../lib/./one", "../..//lib"].map((path) =>
    resolvePath(TREE, path).names.join("/"),
  );
  assert.deepEqual(found, ["", "", "usr/lib/one", "usr/lib/one", "usr/lib/one", "usr/lib"]);
});

test("resolvePath() keeps names of what is not there, also below files", () => {
  assert.deepEqual(resolvePath(TREE, "lib/new/er"), {
    names: ["usr", "lib", "new", "er"],
    nodes: [{ lib: { one: "1" }, up: ">../../../../usr/lib" }, { one: "1" }, undefined, undefined],
  });
  assert.deepEqual(resolvePath(TREE, "file/below"), { names: ["file", "below"], nodes: ["f", undefined] });
});

test("resolvePath() ends in circles and where no path can lead", () => {
  const refused = (path: string, expected: RegExp): void => {
    assert.throws(
      () => resolvePath(TREE, path),
      (error) => isEsgzError(error, "PATH_INVALID") && expected.test(error.message),
    );
  };
  refused("circle/x", /expected at most 255 symlinks, got more$/);
  refused("x/".repeat(2049), /expected at most 2048 directories, got more$/);
  assert.equal(resolvePath(TREE, "x/".repeat(2048)).names.length, 2048);
});
