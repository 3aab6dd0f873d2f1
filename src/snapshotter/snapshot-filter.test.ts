import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { filterSnapshots, parseSnapshotFilter, targetOf } from "./snapshot-filter.ts";
import type { Snapshot } from "./snapshot.ts";

const snapshot: Snapshot = {
  id: 1,
  name: "k8s.io/1/sha256:abc",
  parent: "",
  kind: "committed",
  labels: { "containerd.io/snapshot.ref": "sha256:abc", note: 'a,b "c"\n' },
  createdMs: 0,
  updatedMs: 0,
};
const holds = (...filters: string[]): boolean =>
  filterSnapshots([snapshot], filters.map(parseSnapshotFilter)).length === 1;

test("filters hold if one of them does, and one if all its conditions do", () => {
  assert.equal(holds(), true);
  assert.equal(holds("kind==active", "kind==committed"), true);
  assert.equal(holds('kind==committed,parent==""'), true);
  assert.equal(holds("kind==committed,parent==x"), false);
  assert.equal(holds('"kind"=="committed"'), true);
});

test("quoted values are Go's, with all escapes", () => {
  assert.equal(holds(String.raw`labels.note=="a,b \"c\"\n"`), true);
  assert.equal(holds(String.raw`labels.note=="\x61,\142 \u0022c\U00000022\012"`), true);
  assert.equal(holds(String.raw`labels.note=="a,b \"c\"\t"`), false);
  for (const bad of [String.raw`name=="\q"`, String.raw`name=="\ud800"`, String.raw`name=="\x4"`]) {
    assert.throws(() => parseSnapshotFilter(bad), { code: "REQUEST_INVALID" }, bad);
  }
});

test("patterns are Go's, and none takes long", () => {
  assert.equal(holds("name~=^k8s"), true);
  assert.equal(holds("name~=(?i)K8S"), true);
  assert.equal(holds(String.raw`name~=\Ak8s\.io\/1\/(?P<digest>sha256\:.*)\z`), true);
  assert.equal(holds(String.raw`name~=/\\Ak8s\\.io\/1\/[\\w\\-:]+\\z/`), true);
  assert.equal(holds("name~=|^other|"), false);
  assert.throws(() => parseSnapshotFilter("name~=("), { code: "REQUEST_INVALID" });
  const long = { ...snapshot, name: "a".repeat(40) + "!" };
  assert.throws(() => filterSnapshots([long], [parseSnapshotFilter("name~=^(a+)+$")]), {
    code: "LIMIT_EXCEEDED",
  });
});

test("patterns that take some time each may not take much together", () => {
  // Some 0.1 s each on a fast machine: far below the bound for all.
  const many = Array.from({ length: 1000 }, (_, id) => ({ ...snapshot, id, name: "a".repeat(33) }));
  assert.throws(() => filterSnapshots(many, [parseSnapshotFilter("name~=^(a|aa)+$b?c")]), {
    code: "LIMIT_EXCEEDED",
  });
});

test("targetOf() sees the question that follows a remote Prepare", () => {
  const question = 'labels."containerd.io/snapshot.ref"==sha256:abc,parent=="k8s.io/1/x"';
  assert.deepEqual(targetOf(parseSnapshotFilter(question)), { target: "sha256:abc", parent: "k8s.io/1/x" });
  assert.equal(targetOf(parseSnapshotFilter("parent==x")), undefined);
  assert.equal(targetOf(parseSnapshotFilter('labels."containerd.io/snapshot.ref"!=x,parent==y')), undefined);
});

test("parseSnapshotFilter() gives a value or its error for any text", () => {
  const piece = fc.constantFrom(
    "labels",
    ".",
    ",",
    "==",
    "!=",
    "~=",
    '"',
    "\\",
    "/",
    "|",
    "x",
    " ",
    "(",
    "\u0000",
    "é",
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join("")),
      (text) => {
        try {
          parseSnapshotFilter(text);
        } catch (error) {
          assert.ok(isEsgzError(error, "REQUEST_INVALID"), String(error));
        }
      },
    ),
  );
  assert.throws(() => parseSnapshotFilter("x".repeat(70_000)), /at most 65536 characters/);
});
