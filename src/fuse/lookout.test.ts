import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Lookout } from "./lookout.ts";

/** A look that takes ten microseconds; `find` says what the n-th one finds. */
function lookouts(find: (look: number) => string | undefined): {
  readonly watch: () => string | undefined;
  readonly looks: () => number;
} {
  let [nowMs, looks] = [0, 0];
  const lookout = new Lookout(() => nowMs);
  const look = (): string | undefined => {
    nowMs += 0.01;
    looks += 1;
    return find(looks);
  };
  return { watch: () => lookout.watch(look), looks: () => looks };
}

describe("Lookout", () => {
  test("finds what comes soon", () => {
    const { watch, looks } = lookouts((look) => (look === 3 ? "request" : undefined));
    assert.equal(watch(), "request");
    assert.equal(looks(), 3);
  });

  test("gives up after a while, and rests when it gave up several times", () => {
    const { watch, looks } = lookouts(() => undefined);
    const looksAt = Array.from({ length: 40 }, () => {
      const before = looks();
      assert.equal(watch(), undefined);
      return looks() - before;
    });
    const looked = looksAt.flatMap((count, at) => (count > 0 ? [at] : []));
    assert.deepEqual(looked, [0, 1, 2, 19, 36]);
    for (const at of looked) assert.ok((looksAt[at] ?? 0) < 10, `${looksAt[at]} looks`);
  });

  test("takes heart from what it finds", () => {
    const { watch, looks } = lookouts((look) => (look % 10 === 0 ? "request" : undefined));
    const found = Array.from({ length: 30 }, () => watch()).filter((one) => one !== undefined);
    assert.equal(found.length, Math.floor(looks() / 10));
    assert.ok(found.length >= 6, `${found.length} found`);
  });

  test("lets its thread sleep now and then, however much there is to find", () => {
    const { watch, looks } = lookouts(() => "request");
    const found = Array.from({ length: 34 }, () => watch());
    const sleeps = found.flatMap((one, at) => (one === undefined ? [at] : []));
    assert.deepEqual(sleeps, [16, 33]);
    assert.equal(looks(), 32);
  });
});
