import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DevicePlan } from "../erofs/index.ts";
import { placeFile, type StoredRun } from "./place-file.ts";

const MIB = 1 << 20;

function placed(size: number, stored: readonly StoredRun[]): readonly (readonly number[])[] {
  return placeFile(new DevicePlan(), { size, stored }).extents.map((extent) => [
    extent.fileOffset,
    extent.size,
    extent.deviceOffset,
  ]);
}

test("placeFile() gives a file without holes one run", () => {
  assert.deepEqual(placed(5000, [{ offset: 0, size: 5000 }]), [[0, 5000, 0]]);
});

test("placeFile() gives a file of holes nothing", () => {
  assert.deepEqual(placed(5000, []), []);
});

test("placeFile() keeps small holes inside the run", () => {
  assert.deepEqual(placed(2 * MIB, [{ offset: 4096, size: 1 }]), [[0, MIB, 0]]);
});

test("placeFile() leaves out what is a hole from one unit to another", () => {
  const stored = [
    { offset: 10, size: 10 },
    { offset: 5 * MIB + 7, size: MIB },
  ];
  assert.deepEqual(placed(9 * MIB + 1, stored), [
    [0, MIB, 0],
    [5 * MIB, 2 * MIB, MIB],
  ]);
});

test("placeFile() makes a small device of a terabyte with a few bytes in it", () => {
  const size = 1.2e12;
  const [first, last] = [
    { offset: 0, size: 292 },
    { offset: size - 292, size: 292 },
  ];
  const plan = new DevicePlan();
  const file = placeFile(plan, { size, stored: [first, last] });
  assert.equal(file.extents.length, 2);
  assert.ok(plan.size <= 64 * MIB, `${plan.size}`);
});

test("placeFile() refuses a device of more than 1 TiB", () => {
  const size = 2 ** 40 + 1;
  assert.throws(() => placed(size, [{ offset: 0, size }]), { code: "LIMIT_EXCEEDED" });
});

test("placeFile() gives every stored byte a place of its own inside its extent", () => {
  const run = fc.record({ gap: fc.nat(4 * MIB), size: fc.integer({ min: 1, max: 2 * MIB }) });
  fc.assert(
    fc.property(fc.array(run, { minLength: 1, maxLength: 8 }), fc.nat(5 * MIB), (runs, tail) => {
      let at = 0;
      const stored = runs.map(({ gap, size }) => {
        const offset = at + gap;
        at = offset + size;
        return { offset, size };
      });
      const plan = new DevicePlan();
      plan.place(1);
      const file = placeFile(plan, { size: at + tail, stored });
      let end = 4096;
      for (const { offset, size } of stored) {
        const place = file.placeOf(offset);
        assert.ok(place >= end);
        assert.equal(file.placeOf(offset + size - 1), place + size - 1);
        end = place + size;
      }
      assert.ok(end <= plan.size);
      for (const { fileOffset, deviceOffset } of file.extents) {
        assert.deepEqual([fileOffset % 4096, deviceOffset % 4096], [0, 0]);
      }
    }),
  );
});
