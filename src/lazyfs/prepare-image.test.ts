import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ErofsReader, walkErofs } from "../erofs/index.ts";
import { estargzOf, PLATFORM, serveImage, tarOf, temporaryStore } from "./image.fixture.ts";
import { prepareImage } from "./prepare-image.ts";
import { openStoredImage } from "./open-stored-image.ts";

const BASE = tarOf([
  { name: "etc/" },
  { name: "etc/motd", content: "hello\n" },
  { name: "etc/old", content: "old\n" },
]);
const TOP = tarOf([{ name: "etc/.wh.old" }, { name: "etc/new", content: "new\n" }]);

test("prepareImage() reads manifest, config and the tail of each layer, once each", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE), await estargzOf(TOP)]);
  const store = await temporaryStore(t);
  const options = { store, platform: PLATFORM, name: served.name, whole: "never" } as const;
  await using image = await prepareImage(served.source, options);
  assert.equal(served.requests.length, 4);
  assert.deepEqual(
    image.layers.map(({ lazy, handle }) => [lazy, handle.layer.chunkCount, handle.layer.filledCount]),
    [
      [true, 2, 0],
      [true, 1, 0],
    ],
  );
  assert.equal(image.manifest, served.manifest);
  const reader = new ErofsReader(await readFile(image.mergedMeta.path));
  assert.deepEqual(
    Array.from(walkErofs(reader), ({ path }) => path),
    ["", "etc", "etc/motd", "etc/new"],
  );
});

test("openStoredImage() needs no registry", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE), await estargzOf(TOP)]);
  const store = await temporaryStore(t);
  const options = { store, platform: PLATFORM, name: served.name, whole: "never" } as const;
  const prepared = await prepareImage(served.source, options);
  const { manifest, mergedMeta, config } = prepared;
  await prepared.close();
  await served.server.close();
  await using image = await openStoredImage(store, served.name, { platform: PLATFORM });
  assert.deepEqual(image?.config, config);
  assert.deepEqual(image?.mergedMeta, mergedMeta);
  assert.equal(image?.manifest, manifest);
});
