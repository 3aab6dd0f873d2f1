import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isMounted, mountPointPath, mountsBelow, readMountTable } from "./mount-table.ts";
import { parseMountInfo } from "./mountinfo.ts";

/** A table of `id parent path` triples. */
function table(...mounts: readonly string[]): ReturnType<typeof parseMountInfo> {
  const lines = mounts.map((mount) => {
    const [id, parent, path] = mount.split(" ");
    return `${id} ${parent} 0:1 / ${path} rw - tmpfs none rw\n`;
  });
  return parseMountInfo(new TextEncoder().encode(lines.join("")));
}

test("mountsBelow() lists what lies below a directory, not beside nor at it", () => {
  const mounts = table("1 0 /", "2 1 /a", "3 2 /a/b", "4 1 /ab", "5 1 /a/c/d");
  assert.deepEqual(
    mountsBelow(mounts, "/a").map(({ id }) => id),
    [3, 5],
  );
  assert.deepEqual(
    mountsBelow(mounts, "/").map(({ mountPoint }) => mountPoint),
    ["/a/b", "/a/c/d", "/ab", "/a"],
  );
});

test("mountsBelow() puts the innermost first, whatever the order of the table", () => {
  const mounts = table("9 8 /r/x/y", "7 1 /r/x", "8 7 /r/x", "1 0 /");
  assert.deepEqual(
    mountsBelow(mounts, "/r").map(({ id }) => id),
    [9, 8, 7],
  );
});

test("mountsBelow() ends for a table whose parents form a ring", () => {
  assert.equal(mountsBelow(table("1 2 /r/a", "2 1 /r/b"), "/r").length, 2);
});

test("mountPointPath() follows links on the way and at the end", async () => {
  const root = await mkdtemp(join(tmpdir(), "esgz-table-"));
  try {
    await mkdir(join(root, "real/inner"), { recursive: true });
    await symlink("real", join(root, "way"));
    await symlink("way/inner", join(root, "end"));
    await symlink("loop", join(root, "loop"));
    const expected = join(root, "real/inner");
    assert.equal(await mountPointPath(join(root, "way/inner")), expected);
    assert.equal(await mountPointPath(join(root, "end")), expected);
    assert.equal(await mountPointPath(`${root}/real/./inner/`), expected);
    assert.equal(await mountPointPath(join(root, "loop")), undefined);
    assert.equal(await mountPointPath(join(root, "none/inner")), undefined);
    assert.equal(await mountPointPath(join(root, "none")), undefined);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("isMounted() knows mount points of this machine from other directories", async (t) => {
  if (process.platform !== "linux") return t.skip("needs Linux");
  assert.equal(await isMounted("/"), true);
  assert.equal(await isMounted("/proc"), true);
  assert.equal(await isMounted("/proc/self"), false);
  assert.equal(await isMounted("/proc/none/at/all"), false);
  assert.ok(
    (await readMountTable()).some(({ mountPoint, type }) => mountPoint === "/proc" && type === "proc"),
  );
});
