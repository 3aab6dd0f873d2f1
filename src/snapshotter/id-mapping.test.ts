import assert from "node:assert/strict";
import { test } from "node:test";
import { idMappingOf } from "./id-mapping.ts";

const uid = "containerd.io/snapshot/uidmapping";
const gid = "containerd.io/snapshot/gidmapping";

test("idMappingOf() finds the container's root, and says what containerd mounts with", () => {
  assert.equal(idMappingOf({ other: "1" }), undefined);
  assert.deepEqual(idMappingOf({ [uid]: "1:200000:10,0:100000:1", [gid]: "0:5:65536" }), {
    root: { uid: 100_000, gid: 5 },
    options: ["uidmap=1:200000:10,0:100000:1", "gidmap=0:5:65536"],
  });
  assert.deepEqual(idMappingOf({ [gid]: "0:7:1" }), { root: { uid: 0, gid: 7 }, options: ["gidmap=0:7:1"] });
});

test("idMappingOf() refuses what is no mapping, or none for root", () => {
  for (const bad of [
    "1:2",
    "a:b:c",
    "0:1:1,",
    "0:4294967295:1",
    "-1:0:1",
    "0:1:2 ",
    "1:100000:65536",
    "0:1:0",
  ])
    assert.throws(() => idMappingOf({ [uid]: bad }), { code: "REQUEST_INVALID" }, bad);
});
