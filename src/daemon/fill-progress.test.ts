import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import { openStore } from "../store/index.ts";
import { presentBytesOf } from "./fill-progress.ts";

test("presentBytesOf() counts what a crash has left, before it is verified", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "fill-progress-"));
  t.after(() => rm(directory, { recursive: true }));
  const options = { clock: systemClock, pid: process.pid };
  const chunks = Array.from({ length: 4 }, (_, at) => new Uint8Array(4096).fill(at + 1));
  const rows = chunks.map((bytes, at) => ({
    place: at * 4096,
    size: 4096,
    blobOffset: at * 100,
    memberSize: 100,
    innerOffset: 0,
    digest: createHash("sha256").update(bytes).digest(),
  }));
  const digest = `sha256:${"a".repeat(64)}` as const;
  const source = {
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    blobSize: 400,
    compression: "gzip",
    prefetchSize: 0,
    locations: [],
    blobVerified: false,
  } as const;
  const left = join(directory, "left");
  {
    await using store = await openStore(join(directory, "store"), options);
    const meta = new Uint8Array(4096);
    await using handle = await store.createLayer(digest, {
      meta,
      source,
      chunks: { dataSize: 4 * 4096, rows },
    });
    for (const index of [0, 2, 3]) await handle.layer.writeChunk(index, chunks[index] ?? new Uint8Array());
    assert.equal(presentBytesOf(handle.layer), 300);
    await store.checkpoint();
    // What a process that is killed now leaves behind.
    execFileSync("cp", ["-a", "--sparse=always", store.root, left]);
  }
  await using store = await openStore(left, options);
  await using handle = await store.openLayer(digest);
  assert.ok(handle);
  assert.equal(handle.layer.filledCount, 0);
  assert.equal(presentBytesOf(handle.layer), 300);
});
