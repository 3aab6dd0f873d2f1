import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { noise } from "./make-layer.fixture.ts";
import { OrderedHash } from "./ordered-hash.ts";
import { sha256 } from "./serve-image.fixture.ts";

describe("OrderedHash", () => {
  test("hashes parts in the blob's order, whatever the order of their arrival", async () => {
    const content = noise(300, 2);
    const ordered = new OrderedHash(sha256(content));
    const parts = [0, 100, 200].map((offset) => ordered.open(offset, content.subarray(offset, offset + 100)));
    parts[2]?.advance(100);
    parts[1]?.advance(50);
    assert.equal(ordered.position, 0);
    parts[0]?.advance(100);
    assert.equal(ordered.position, 150);
    parts[1]?.advance(100);
    await Promise.all(parts.map(async ({ hashed }) => await hashed));
    assert.equal(ordered.digest(), sha256(content));
  });
});
