import assert from "node:assert/strict";
import { test } from "node:test";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { estargzOf, PLATFORM, serveImage, temporaryStore } from "./image.fixture.ts";
import { openStoredImage } from "./open-stored-image.ts";
import { prepareImage } from "./prepare-image.ts";
import { recordImageName } from "./record-image-name.ts";

const TAR = tarOf([{ name: "motd", content: "hello\n" }]);

test("recordImageName() notes a name with a digest, and only such a one", async (t) => {
  const served = await serveImage(t, [await estargzOf(TAR)]);
  const store = await temporaryStore(t);
  const options = { store, platform: PLATFORM, name: served.name, whole: "never" } as const;
  const prepared = await prepareImage(served.source, options);
  const { manifest } = prepared;
  await prepared.close();
  await served.server.close();
  const name = `other.example/app@${manifest}`;
  await using found = await openStoredImage(store, name, { platform: PLATFORM });
  assert.ok(found);
  assert.equal(found.name, served.name);
  assert.equal(recordImageName(store, found, "other.example/app:1"), found);
  const renamed = recordImageName(store, found, name);
  assert.deepEqual([renamed.name, renamed.root], [name, manifest]);
  const names = store.images().map((image) => image.name);
  assert.deepEqual(new Set(names), new Set([served.name, name]));
  assert.equal(recordImageName(store, renamed, name), renamed);
  const locations = renamed.layers.map(({ handle }) => handle.layer.source.locations.length);
  assert.deepEqual(locations, [1], "nobody asked the other registry");
});
