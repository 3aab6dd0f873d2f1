import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMountInfo } from "./mount-info.ts";
import { fusermountWords, planMount } from "./mount-options.ts";

test("parseMountInfo() reads lines with and without optional fields, and escapes", () => {
  const text = [
    "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue",
    String.raw`61 36 0:46 / /tmp/a\040b\134c ro,nosuid - fuse.esgz esgz ro,user_id=0`,
    "garbage",
    "",
  ].join("\n");
  assert.deepEqual(parseMountInfo(text), [
    { id: 36, device: "98:0", target: "/mnt2", type: "ext3", source: "/dev/root" },
    { id: 61, device: "0:46", target: String.raw`/tmp/a b\c`, type: "fuse.esgz", source: "esgz" },
  ]);
});

test("planMount() is read-only without set-user-id and devices, unless told otherwise", () => {
  const ids = { uid: 5, gid: 6 };
  const plan = planMount({ subtype: "esgz", allowOther: true }, ids);
  assert.deepEqual(plan, {
    source: "esgz",
    type: "fuse.esgz",
    data: ["rootmode=40000", "user_id=5", "group_id=6", "default_permissions", "allow_other"],
    words: ["ro", "nosuid", "nodev"],
    flags: 7,
  });
  const open = planMount({ allowSetuid: true, allowDevices: true, defaultPermissions: false }, ids);
  assert.deepEqual([open.words, open.flags, open.type], [["ro"], 1, "fuse"]);
  const told = planMount({ attempts: true }, ids);
  assert.deepEqual([told.words, told.flags], [["rw", "nosuid", "nodev"], 6]);
  assert.equal(fusermountWords({ attempts: true })[0], "rw");
});

test("names that would end an option are refused", () => {
  for (const source of ["a,allow_other", "a b", "a\\054b", "a\nb"]) {
    assert.throws(() => planMount({ source }, { uid: 0, gid: 0 }), { code: "CONFIGURATION_INVALID" });
    assert.throws(() => fusermountWords({ subtype: source }), { code: "CONFIGURATION_INVALID" });
  }
});
