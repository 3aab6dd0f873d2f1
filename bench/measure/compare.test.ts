import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, median, type Outcome } from "./compare.ts";

function outcome(wallSeconds: number, facts: Readonly<Record<string, number>> = {}): Outcome {
  return { wallSeconds, cpuSeconds: 0, peakBytes: wallSeconds * 10, facts };
}

test("median() takes the middle one, or the mean of two", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([7]), 7);
});

test("compare() runs contenders in turn and gives medians and ratios by round", async () => {
  const order: string[] = [];
  const walls = { a: [1, 2, 4], b: [3, 2, 2] };
  const contender = (name: "a" | "b") => ({
    name,
    run: async () => {
      order.push(name);
      const wall = walls[name].shift() ?? Number.NaN;
      return outcome(wall, { requests: wall + 1 });
    },
  });
  const [a, b] = await compare([contender("a"), contender("b")], { rounds: 3 });
  assert.deepEqual(order, ["a", "b", "a", "b", "a", "b"]);
  assert.equal(a?.wallSeconds, 2);
  assert.deepEqual(b?.wallRange, [2, 3]);
  assert.equal(b?.ratio, 1);
  assert.equal(a?.peakBytes, 40);
  assert.deepEqual(a?.facts, { requests: 3 });
});

test("compare() goes on after a run that fails, and tells of it", async () => {
  let runs = 0;
  const told: string[] = [];
  const [good, bad] = await compare(
    [
      { name: "good", run: async () => outcome(2) },
      {
        name: "bad",
        run: async () => {
          runs += 1;
          if (runs === 1) throw new Error("it broke");
          return outcome(6);
        },
      },
    ],
    { rounds: 2, onFailure: (name, message) => told.push(`${name}: ${message}`) },
  );
  assert.equal(good?.runs, 2);
  assert.equal(bad?.runs, 1);
  assert.equal(bad?.ratio, 3);
  assert.deepEqual(bad?.failures, ["it broke"]);
  assert.deepEqual(told, ["bad: it broke"]);
});
