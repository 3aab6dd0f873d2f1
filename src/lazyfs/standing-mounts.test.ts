import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../bytes/index.ts";
import { parseMountInfo } from "../erofs-mount/index.ts";
import { createMountState } from "./create-mount-state.ts";
import { ownMountsAt } from "./standing-mounts.ts";

// As Linux 6.18 shows overlays of a store at "/tmp/st ore,a:b\c", mounted with `lowerdir+`, and with `lowerdir` of mount(2).
const STORE = "/tmp/st ore,a:b\\c";
const PRINTED = String.raw`/tmp/st\040ore\054a:b`;
const LINES = {
  "a writable one": String.raw`90 29 0:60 / /mnt rw,relatime shared:1 - overlay overlay rw,lowerdir+=${PRINTED}\134c/mounts/m1/lower,upperdir=${PRINTED}\134\134c/mounts/m1/upper,workdir=${PRINTED}\134\134c/mounts/m1/work,uuid=on`,
  "one of layers": String.raw`90 29 0:60 / /mnt ro,relatime shared:1 - overlay overlay ro,lowerdir+=${PRINTED}\134c/mounts/m1/layers/1,lowerdir+=${PRINTED}\134c/mounts/m1/layers/0,redirect_dir=on`,
  "one of older kernels": String.raw`90 29 0:60 / /mnt ro,relatime shared:1 - overlay overlay ro,lowerdir=/other:/tmp/st\040ore\054a\134:b\134\134c/mounts/m1/layers/0`,
};

function ownOf(line: string, store: string): readonly number[] {
  const home = `${store}/mounts/m1`;
  const state = createMountState({
    id: "m1",
    directory: "/mnt",
    reference: "registry.example/app:1",
    manifest: undefined,
    view: { home, layers: [], layered: false, directory: "/mnt", writable: true, volatile: false },
    method: "erofs-file",
    mayAssemble: true,
    before: 0,
    createdMs: 0,
  });
  return ownMountsAt(parseMountInfo(encodeUtf8(`${line}\n`)), { state, home, place: "/mnt" }).map(
    ({ id }) => id,
  );
}

for (const [name, line] of Object.entries(LINES)) {
  test(`ownMountsAt() knows ${name} of a store whose path has blanks, commas, colons and backslashes`, () => {
    assert.deepEqual(ownOf(line, STORE), [90]);
    assert.deepEqual(ownOf(line, "/tmp/another"), []);
  });
}
