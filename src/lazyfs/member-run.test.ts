import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hash } from "node:crypto";
import type { ChunkRow, Layer, LayerSource } from "../store/index.ts";
import { temporaryStore } from "./image.fixture.ts";
import { MemberRuns } from "./member-run.ts";

const SOURCE: LayerSource = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  blobSize: 2 ** 33,
  compression: "gzip",
  prefetchSize: 0,
  locations: [],
  blobVerified: false,
};

/** Chunks of 4096 bytes: blob offset, size of the member, offset in the member. */
function rowsOf(members: readonly (readonly [number, number, number])[]): ChunkRow[] {
  return members.map(([blobOffset, memberSize, innerOffset], at) => ({
    place: at * 4096,
    size: 4096,
    blobOffset,
    memberSize,
    innerOffset,
    digest: new Uint8Array(32).fill(at),
  }));
}

describe("MemberRuns", () => {
  const rows = rowsOf([
    [100, 900, 512],
    [100, 900, 5120],
    [1000, 500, 0],
    [100, 900, 9728],
    [4000, 0, 0],
    [5000, 2 ** 32 - 1, 0],
  ]);

  const open = async (
    t: Parameters<typeof temporaryStore>[0],
  ): Promise<AsyncDisposable & { layer: Layer }> => {
    const store = await temporaryStore(t);
    const chunks = { rows, dataSize: rows.length * 4096 };
    const digest = `sha256:${hash("sha256", "member runs")}` as const;
    return await store.createLayer(digest, { meta: new Uint8Array(4096), chunks, source: SOURCE });
  };

  test("gather neighbours that lie in one member, from whichever is asked for", async (t) => {
    await using handle = await open(t);
    const runs = new MemberRuns(handle.layer);
    const first = { first: 0, end: 2, blobOffset: 100, size: 900, need: 9216 };
    assert.deepEqual(runs.at(1), first);
    assert.deepEqual(runs.at(0), first);
    assert.deepEqual(runs.at(2), { first: 2, end: 3, blobOffset: 1000, size: 500, need: 4096 });
    assert.deepEqual(runs.at(3), { first: 3, end: 4, blobOffset: 100, size: 900, need: 13_824 });
  });

  test("refuse a chunk that cannot be fetched by itself", async (t) => {
    await using handle = await open(t);
    const runs = new MemberRuns(handle.layer);
    assert.throws(() => runs.at(4), { code: "NOT_SUPPORTED" });
  });

  test("take no more of a member that claims to be huge than its chunks can need", async (t) => {
    await using handle = await open(t);
    assert.equal(new MemberRuns(handle.layer).at(5).size, 64 << 20);
  });
});
