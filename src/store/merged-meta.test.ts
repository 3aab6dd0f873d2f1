import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { openStore, type ImageRecord, type Store } from "./index.ts";
import { sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";

const HELLO = new TextEncoder().encode("hello");
const MERGED = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const [LOWER, UPPER] = [sampleLayer("lower"), sampleLayer("upper")];
const MANIFEST = sampleLayer("manifest").digest;
const TOC = sampleLayer("toc").digest;
const IMAGE: ImageRecord = {
  name: "registry.example/app:1",
  platform: "linux/amd64",
  root: MANIFEST,
  manifest: MANIFEST,
  layers: [LOWER.digest, UPPER.digest],
  content: [],
};

async function open(root: string): Promise<Store> {
  return await openStore(root, { clock: new StandingClock(), pid: process.pid });
}

test("an image remembers its TOCs and its merged metadata, which prune() keeps as long as the image", async () => {
  await using place = await scratchDirectory();
  const merged = { digest: MERGED, madeFrom: "these layers" } as const;
  {
    await using store = await open(place.path);
    await store.content.write(MERGED, HELLO, { durable: false });
    store.setImage({ ...IMAGE, tocDigests: [TOC, undefined], merged });
    // What another name says nothing about stays.
    store.setImage({ ...IMAGE, name: "registry.example/app:2", tocDigests: [TOC, undefined] });
  }
  await using store = await open(place.path);
  assert.deepEqual(
    store.images().map(({ name, tocDigests, merged: found }) => [name, tocDigests, found]),
    [
      ["registry.example/app:1", [TOC, undefined], merged],
      ["registry.example/app:2", [TOC, undefined], merged],
    ],
  );
  await store.prune();
  assert.deepEqual(new Uint8Array(await readFile(store.content.pathOf(MERGED))), HELLO);
  store.remove("registry.example/app:1");
  store.remove("registry.example/app:2");
  assert.deepEqual((await store.prune()).content, [MERGED]);
});

test("setMergedMeta() replaces what is known of an image, and does nothing for another", async () => {
  await using place = await scratchDirectory();
  await using store = await open(place.path);
  store.setImage({ ...IMAGE, merged: { digest: MERGED, madeFrom: "these layers" } });
  store.setMergedMeta(MANIFEST, { digest: TOC, madeFrom: "others" });
  store.setMergedMeta(UPPER.digest, { digest: TOC, madeFrom: "others" });
  assert.deepEqual(store.images()[0]?.merged, { digest: TOC, madeFrom: "others" });
});

test("a database of the first version becomes one of this", async () => {
  await using place = await scratchDirectory();
  const lease = { id: "m", kind: "mount", layers: IMAGE.layers, detail: "" };
  {
    await using store = await open(place.path);
    store.setImage(IMAGE);
    store.setLease(lease);
  }
  {
    using database = new DatabaseSync(join(place.path, "metadata.db"));
    database.exec(
      `ALTER TABLE image_layers DROP COLUMN toc; DROP TABLE merged_metas; ALTER TABLE lease_layers DROP COLUMN meta;
       ALTER TABLE lease_layers DROP COLUMN toc;
       PRAGMA user_version = 1`,
    );
  }
  await using store = await open(place.path);
  const [image] = store.images();
  assert.deepEqual([image?.layers, image?.tocDigests, image?.merged], [IMAGE.layers, undefined, undefined]);
  assert.deepEqual(store.leases(), [lease]);
  store.setLease({ ...lease, detail: "again" });
});

test("a stage takes chunks that another thread wrote to its file", async () => {
  await using place = await scratchDirectory();
  const { meta, source, chunks } = UPPER.layer;
  await using store = await open(place.path);
  await using stage = await store.stageLayer(UPPER.digest);
  await stage.admit(UPPER.device.length);
  writeFileSync(stage.dataPath, UPPER.device, { flag: "r+" });
  stage.accept(chunks.rows);
  await stage.commit({ meta, source, dataSize: chunks.dataSize });
  await using handle = await store.openLayer(UPPER.digest, { tocDigest: "any" });
  assert.equal(handle?.layer.complete, true);
  assert.deepEqual(await handle?.layer.scrub(), { kept: chunks.rows.length, dropped: 0 });
});
