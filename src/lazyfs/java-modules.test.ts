import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { findModules, MODULES_HEADER_SIZE, readModulesHeader } from "./java-modules.ts";
import { makeJavaModules } from "./make-java-modules.fixture.ts";

const KIB = 1 << 10;
const resource = (module: string, kib: number): { module: string; content: Uint8Array } => ({
  module,
  content: new Uint8Array(kib * KIB),
});
const RESOURCES = [
  resource("java.base", 300),
  resource("jdk.localedata", 600),
  resource("java.base", 1),
  resource("java.desktop", 100),
  resource("java.base", 10),
  resource("jdk.compiler", 20),
];

async function find(
  file: Uint8Array,
  ...names: readonly string[]
): Promise<readonly (readonly [number, number])[]> {
  const header = readModulesHeader(file);
  assert.ok(header !== undefined);
  const ranges = await findModules(file, { header, names: new Set(names) });
  return ranges.map(({ offset, size }) => [(offset - header.indexSize) / KIB, size / KIB]);
}

describe("findModules()", () => {
  for (const little of [true, false]) {
    test(`finds modules in files of ${little ? "little" : "big"}-endian machines`, async () => {
      const file = makeJavaModules(RESOURCES, { little });
      assert.deepEqual(await find(file, "java.base"), [
        [0, 300],
        [900, 111],
      ]);
      assert.deepEqual(await find(file, "java.base", "jdk.compiler", "none"), [
        [0, 300],
        [900, 131],
      ]);
      assert.deepEqual(await find(file, "java"), []);
    });
  }

  test("finds nothing where the index is not all there", async () => {
    const file = makeJavaModules(RESOURCES);
    assert.deepEqual(await find(file.subarray(0, MODULES_HEADER_SIZE), "java.base"), []);
  });

  test("gives ranges for any bytes", async () => {
    const file = makeJavaModules(RESOURCES.map(({ module }) => resource(module, 0)));
    const damage = fc.array(fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 0, max: 255 })), {
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(damage, async (bytes) => {
        const damaged = Uint8Array.from(file);
        for (const [at, byte] of bytes) damaged[at] = byte;
        const header = readModulesHeader(damaged);
        if (header === undefined) return;
        const ranges = await findModules(damaged, { header, names: new Set(["java.base"]) });
        for (const { offset, size } of ranges) assert.ok(offset >= header.indexSize && size > 0);
      }),
    );
  });
});

test("readModulesHeader() knows its files", () => {
  const file = makeJavaModules(RESOURCES);
  assert.equal(readModulesHeader(file.subarray(0, 27)), undefined);
  for (const at of [0, 4]) {
    const other = Uint8Array.from(file);
    other[at] = 7;
    assert.equal(readModulesHeader(other), undefined);
  }
});
