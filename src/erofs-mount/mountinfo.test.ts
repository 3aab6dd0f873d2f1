import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodePathText } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { parseMountInfo } from "./mountinfo.ts";

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

test("parseMountInfo() reads the example of the manual", () => {
  const line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n";
  assert.deepEqual(parseMountInfo(bytes(line)), [
    {
      id: 36,
      parentId: 35,
      device: "98:0",
      root: "/mnt1",
      mountPoint: "/mnt2",
      mountOptions: ["rw", "noatime"],
      optionalFields: ["master:1"],
      type: "ext3",
      source: "/dev/root",
      superOptions: ["rw", "errors=continue"],
    },
  ]);
});

test("parseMountInfo() reads any number of optional fields", () => {
  const line = (fields: string): string => `1 0 0:1 / / ro ${fields}- erofs none ro\n`;
  const table = parseMountInfo(
    bytes(line("") + line("shared:2 ") + line("shared:2 master:3 propagate_from:4 unbindable ")),
  );
  assert.deepEqual(
    table.map(({ optionalFields }) => optionalFields),
    [[], ["shared:2"], ["shared:2", "master:3", "propagate_from:4", "unbindable"]],
  );
});

test("parseMountInfo() undoes the escapes, and nothing else", () => {
  const line = String.raw`1 0 0:1 /a\040b\011\012\134 /x\1341\8\40y- rw - fuse.a\040b a\054b,c lowerdir=/p\054q:\134,r`;
  const [mount] = parseMountInfo(bytes(line));
  assert.equal(mount?.root, "/a b\t\n\\");
  assert.equal(mount.mountPoint, String.raw`/x\1\8\40y-`);
  assert.equal(mount.type, "fuse.a b");
  assert.equal(mount.source, "a,b,c");
  assert.deepEqual(mount.superOptions, ["lowerdir=/p,q:\\", "r"]);
});

test("parseMountInfo() takes a mount without a source", () => {
  const [mount] = parseMountInfo(bytes("1 0 0:1 / /a rw - tmpfs  rw\n"));
  assert.equal(mount?.source, "");
  assert.deepEqual(mount.superOptions, ["rw"]);
});

test("parseMountInfo() keeps names that are not UTF-8", () => {
  const line = Buffer.from("1 0 0:1 / /\xff\xe9 rw - tmpfs none rw\n", "latin1");
  const [mount] = parseMountInfo(line);
  assert.deepEqual([...encodePathText(mount?.mountPoint ?? "")], [0x2f, 0xff, 0xe9]);
});

/** As the kernel's `seq_path()` and `mangle()` write a field. */
function mangle(name: Uint8Array): Buffer {
  const parts = [...name].map((byte) =>
    [0x20, 0x09, 0x0a, 0x5c, 0x23].includes(byte)
      ? Buffer.from(`\\${byte.toString(8).padStart(3, "0")}`)
      : Buffer.of(byte),
  );
  return Buffer.concat(parts);
}

const name = fc
  .array(fc.oneof(fc.constantFrom(0x20, 0x09, 0x0a, 0x5c, 0x2d, 0x2c), fc.integer({ min: 1, max: 255 })), {
    minLength: 1,
    maxLength: 30,
  })
  .map((array) => Uint8Array.from([0x2f, ...array]));

test("parseMountInfo() gives back every name that the kernel can write", () => {
  const tags = fc.array(fc.constantFrom("shared:1", "master:2", "propagate_from:3", "unbindable"));
  fc.assert(
    fc.property(name, name, name, tags, (root, mountPoint, source, optionalFields) => {
      const tail = Buffer.from([...optionalFields, "- erofs "].join(" "));
      const line = [
        Buffer.from("7 6 0:5 "),
        mangle(root),
        Buffer.from(" "),
        mangle(mountPoint),
        Buffer.from(" ro "),
        tail,
        mangle(source),
        Buffer.from(" ro\n"),
      ];
      const [mount, ...rest] = parseMountInfo(Buffer.concat(line));
      assert.deepEqual(rest, []);
      assert.deepEqual(parseMountInfo(Buffer.concat(line), { at: mount?.mountPoint }), [mount]);
      assert.deepEqual(encodePathText(mount?.root ?? ""), root);
      assert.deepEqual(encodePathText(mount?.mountPoint ?? ""), mountPoint);
      assert.deepEqual(encodePathText(mount?.source ?? ""), source);
      assert.deepEqual(mount?.optionalFields, optionalFields);
    }),
  );
});

test("parseMountInfo() tells of one place alone", () => {
  const at = (id: number, place: string): string => `${id} 1 0:5 /a/b ${place} rw - ext4 /a/b rw`;
  const table = bytes(`${[at(2, "/a"), at(3, "/a/b"), at(4, "/a/b/c"), at(5, "/a/b")].join("\n")}\n`);
  assert.deepEqual(
    parseMountInfo(table, { at: "/a/b" }).map(({ id }) => id),
    [3, 5],
  );
  assert.deepEqual(parseMountInfo(table, { at: "/b" }), []);
});

test("parseMountInfo() gives a table or IO_FAILED for any bytes", () => {
  const pieces = fc.array(
    fc.constantFrom("1", " ", "-", "\n", "/", "\\040", "\\", "a:b", "1 0 0:1 / / rw -"),
  );
  const input = fc.oneof(
    fc.uint8Array(),
    pieces.map((parts) => bytes(parts.join(""))),
  );
  fc.assert(
    fc.property(input, (content) => {
      try {
        for (const { id, parentId } of parseMountInfo(content)) assert.ok(id >= 0 && parentId >= 0);
      } catch (error) {
        assert.ok(isEsgzError(error, "IO_FAILED"));
      }
    }),
  );
});
