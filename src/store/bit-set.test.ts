import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BitSet } from "./bit-set.ts";

test("a bit set is a set of numbers", () => {
  const command = fc.tuple(fc.constantFrom("add", "delete", "addRange", "clear"), fc.nat(49), fc.nat(50));
  fc.assert(
    fc.property(fc.array(command), ([...commands]) => {
      const [bits, model] = [new BitSet(50), new Set<number>()];
      for (const [kind, a, b] of commands) {
        if (kind === "add") {
          assert.equal(bits.add(a), !model.has(a));
          model.add(a);
        } else if (kind === "delete") assert.equal(bits.delete(a), model.delete(a));
        else if (kind === "clear" && b === 0) {
          bits.clear();
          model.clear();
        } else if (kind === "addRange") {
          bits.addRange(a, b);
          for (let at = a; at < b; at += 1) model.add(at);
        }
        assert.equal(bits.count, model.size);
      }
      const found: number[] = [];
      for (let at = bits.next(0); at !== undefined; at = bits.next(at + 1)) found.push(at);
      assert.deepEqual(
        found,
        [...model].toSorted((x, y) => x - y),
      );
      const copy = new BitSet(50);
      copy.addBytes(bits.toBytes());
      assert.deepEqual(copy.bytes, bits.bytes);
      for (const [first, end] of [
        [0, 50],
        [3, 20],
        [8, 24],
        [7, 7],
      ] as const) {
        const all = Array.from({ length: end - first }, (_, at) => first + at).every((at) => model.has(at));
        assert.equal(bits.hasRange(first, end), all);
      }
    }),
  );
});

test("bits behind the end are ignored", () => {
  const bits = new BitSet(10);
  bits.addBytes(Uint8Array.of(0, 0xff, 0xff));
  assert.equal(bits.count, 2);
  assert.deepEqual(Array.from(bits.bytes), [0, 3]);
});
