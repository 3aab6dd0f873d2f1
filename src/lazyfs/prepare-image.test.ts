import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { ErofsReader, walkErofs } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import { openImageSource } from "../image/index.ts";
import { encodeManifest, MEDIA_TYPES } from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import type { ImageEvent } from "./image-event.ts";
import { estargzOf, PLATFORM, plainOf, serveImage, sha256, temporaryStore } from "./image.fixture.ts";
import { openStoredImage } from "./open-stored-image.ts";
import { PreparationThreads } from "./preparation-threads.ts";
import { prepareImage, type PrepareImageOptions } from "./prepare-image.ts";
import { assertStandsAlone } from "./stands-alone.ts";

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

/** A store, and what `prepareImage()` needs to use it under a name. */
async function openPlace(t: TestContext): Promise<{
  readonly store: Store;
  readonly events: ImageEvent[];
  readonly optionsFor: (name: string) => PrepareImageOptions;
}> {
  const store = await temporaryStore(t);
  const events: ImageEvent[] = [];
  const onEvent = (event: ImageEvent): number => events.push(event);
  return {
    store,
    events,
    optionsFor: (name) => ({ store, platform: PLATFORM, name, whole: "when-needed", onEvent }),
  };
}

async function pathsOf(file: string): Promise<string[]> {
  return Array.from(walkErofs(new ErofsReader(await readFile(file))), ({ path }) => path);
}

test("prepareImage() reads an ordinary layer whole, and says why", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE), plainOf(TOP)]);
  const { events, optionsFor } = await openPlace(t);
  await using image = await prepareImage(served.source, optionsFor(served.name));
  assert.deepEqual(
    image.layers.map(({ lazy, handle, reason }) => [lazy, handle.layer.complete, reason]),
    [
      [true, false, undefined],
      [false, true, "its manifest names no table of contents"],
    ],
  );
  assert.deepEqual(await pathsOf(image.mergedMeta.path), ["", "etc", "etc/motd", "etc/new"]);
  assert.ok(events.some((event) => event.kind === "layer-declined" && event.index === 1 && !event.mismatch));
});

test("prepareImage() refuses an ordinary layer where none may be read whole, and holds nothing", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE), plainOf(TOP)]);
  const { store, optionsFor } = await openPlace(t);
  await assert.rejects(prepareImage(served.source, { ...optionsFor(served.name), whole: "never" }), {
    code: "NOT_SUPPORTED",
  });
  const { layers } = await store.usage();
  assert.deepEqual(
    layers.filter(({ pinned }) => pinned),
    [],
  );
});

test("prepareImage() asks for nothing but the manifest of an image that the store has", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE), plainOf(TOP)]);
  const { store, optionsFor } = await openPlace(t);
  await (await prepareImage(served.source, optionsFor(served.name))).close();
  served.requests.length = 0;
  await using image = await prepareImage(served.source, optionsFor("registry.example/other:name"));
  assert.equal(served.requests.length, 1);
  assert.equal(image.name, "registry.example/other:name");
  assert.deepEqual(
    store.images().map(({ name }) => name),
    [served.name, "registry.example/other:name"],
  );
});

test("prepareImage() shares the layers of images", async (t) => {
  const [base, top] = [await estargzOf(BASE), await estargzOf(TOP)];
  const first = await serveImage(t, [base]);
  const second = await serveImage(t, [base, top]);
  const { optionsFor } = await openPlace(t);
  await using one = await prepareImage(first.source, optionsFor(first.name));
  await using two = await prepareImage(second.source, optionsFor(second.name));
  assert.equal(one.layers[0]?.handle.layer, two.layers[0]?.handle.layer);
  // Manifest, config and one tail.
  assert.equal(second.requests.length, 3);
  const registries = two.layers[0]?.handle.layer.source.locations.map(({ registry }) => registry);
  assert.deepEqual(registries, [`127.0.0.1:${second.server.port}`, `127.0.0.1:${first.server.port}`]);
});

test("prepareImage() remembers each repository that has the image, the last one first", async (t) => {
  const layers = [await estargzOf(BASE)];
  const [first, second] = [await serveImage(t, layers), await serveImage(t, layers)];
  const { optionsFor } = await openPlace(t);
  await (await prepareImage(first.source, optionsFor(first.name))).close();
  await using image = await prepareImage(second.source, optionsFor(second.name));
  assert.deepEqual(
    image.layers[0]?.handle.layer.source.locations.map(({ registry }) => registry),
    [`127.0.0.1:${second.server.port}`, `127.0.0.1:${first.server.port}`],
  );
});

test("prepareImage() takes an image that has a layer twice", async (t) => {
  const [base, plain] = [await estargzOf(BASE), plainOf(TOP)];
  const served = await serveImage(t, [base, plain, base, plain]);
  const { optionsFor, store } = await openPlace(t);
  {
    await using image = await prepareImage(served.source, optionsFor(served.name));
    assert.deepEqual(await pathsOf(image.mergedMeta.path), ["", "etc", "etc/motd", "etc/new"]);
  }
  await using again = await openStoredImage(store, served.name);
  assert.equal(again?.layers.length, 4);
});

test("prepareImage() takes zstd:chunked layers", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE, { format: "zstd:chunked" })]);
  const { optionsFor } = await openPlace(t);
  await using image = await prepareImage(served.source, optionsFor(served.name));
  assert.deepEqual(
    image.layers.map(({ lazy, handle }) => [lazy, handle.layer.source.compression]),
    [[true, "zstd"]],
  );
});

test("prepareImage() reads a layer whole whose table of contents is not the promised one, and reports it", async (t) => {
  const layer = await estargzOf(BASE);
  const annotations = Object.fromEntries(
    Object.entries(layer.annotations ?? {}).map(([name, value]) => [
      name,
      value.startsWith("sha256:") ? sha256(new Uint8Array(1)) : value,
    ]),
  );
  const served = await serveImage(t, [{ ...layer, annotations }]);
  const { events, optionsFor } = await openPlace(t);
  await using image = await prepareImage(served.source, optionsFor(served.name));
  assert.equal(image.layers[0]?.lazy, false);
  assert.ok(events.some((event) => event.kind === "layer-declined" && event.mismatch));
  // What belongs to the format is hidden in a layer that is read whole, too.
  assert.deepEqual(await pathsOf(image.mergedMeta.path), ["", "etc", "etc/motd", "etc/old"]);
});

test("prepareImage() reads the layers of an image that is in no registry whole", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE)]);
  const { store, optionsFor } = await openPlace(t);
  const { repository: _, ...methods } = served.source;
  const { source } = served;
  const local = {
    ...methods,
    fetchRoot: source.fetchRoot.bind(source),
    fetchManifest: source.fetchManifest.bind(source),
    openBlob: source.openBlob.bind(source),
    fetchCompanion: source.fetchCompanion.bind(source),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  {
    await using image = await prepareImage(local, optionsFor("oci:/images/base:v1"));
    assert.deepEqual(
      image.layers.map(({ lazy, reason }) => [lazy, reason]),
      [[false, "its image is not in a registry"]],
    );
  }
  await using image = await openStoredImage(store, "oci:/images/base:v1");
  assert.equal(image?.layers[0]?.handle.layer.complete, true);
});

test("prepareImage() refuses a root that is not the one that the name pins", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE)]);
  const { optionsFor } = await openPlace(t);
  const name = `${served.name}@${sha256(new Uint8Array(1))}`;
  await assert.rejects(prepareImage(served.source, optionsFor(name)), { code: "DIGEST_MISMATCH" });
});

test("prepareImage() takes the digest of a name before its tag", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE)]);
  const { optionsFor } = await openPlace(t);
  const name = served.name.replace(":latest", `:gone@${served.manifest}`);
  const source = await openImageSource(name, { registry: served.client });
  await using image = await prepareImage(source, optionsFor(name));
  assert.equal(image.root, served.manifest);
});

test("openStoredImage() finds a pinned name under any name that the image has", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE)]);
  const { store, optionsFor } = await openPlace(t);
  await (await prepareImage(served.source, optionsFor(served.name))).close();
  await using pinned = await openStoredImage(store, `registry.example/else@${served.manifest}`);
  assert.equal(pinned?.manifest, served.manifest);
  await using byDigest = await openStoredImage(store, served.manifest);
  assert.equal(byDigest?.manifest, served.manifest);
  assert.equal(await openStoredImage(store, "registry.example/else:latest"), undefined);
});

test("openStoredImage() makes merged metadata again that was damaged", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE), await estargzOf(TOP)]);
  const { store, events, optionsFor } = await openPlace(t);
  const first = await prepareImage(served.source, optionsFor(served.name));
  const { path, digest } = first.mergedMeta;
  await first.close();
  const bytes = await readFile(path);
  bytes[1200] = (bytes[1200] ?? 0) ^ 1;
  await writeFile(path, bytes);
  const onEvent = (event: ImageEvent): number => events.push(event);
  await using image = await openStoredImage(store, served.name, { onEvent });
  assert.deepEqual(image?.mergedMeta, { path, digest });
  assert.equal(sha256(await readFile(path)), digest);
  assert.equal(events.at(-1)?.kind, "merged");
});

test("openStoredImage() does not use merged metadata of layers that were laid out otherwise", async (t) => {
  const layer = await estargzOf(BASE);
  const served = await serveImage(t, [layer]);
  const { store, optionsFor } = await openPlace(t);
  const lazy = await prepareImage(served.source, optionsFor(served.name));
  const { digest } = lazy.mergedMeta;
  const { metaDigest } = lazy.layers[0]?.handle.layer ?? {};
  await lazy.close();
  const known = store.images()[0]?.merged;
  assert.equal(known?.digest, digest);
  store.setMergedMeta(served.manifest, { digest, madeFrom: "something else" });
  await using image = await openStoredImage(store, served.name);
  assert.equal(image?.layers[0]?.handle.layer.metaDigest, metaDigest);
  assert.deepEqual(store.images()[0]?.merged, known);
});

test("openStoredImage() is undefined where a layer is gone", async (t) => {
  const served = await serveImage(t, [plainOf(BASE)]);
  const { store, optionsFor } = await openPlace(t);
  await (await prepareImage(served.source, optionsFor(served.name))).close();
  await store.evict(2 ** 40);
  assert.equal(await openStoredImage(store, served.name), undefined);
  await using image = await prepareImage(served.source, optionsFor(served.name));
  assert.equal(image.layers[0]?.handle.layer.complete, true);
});

test("openStoredImage() leaves no layer open where one of many is gone", async (t) => {
  const layers = Array.from({ length: 20 }, (_, at) => tarOf([{ name: `file${at}`, content: `${at}\n` }]));
  const blobs = await Promise.all(layers.map((tar) => estargzOf(tar)));
  const served = await serveImage(t, blobs.with(10, plainOf(tarOf([{ name: "file10", content: "10\n" }]))));
  const { store, optionsFor } = await openPlace(t);
  await (await prepareImage(served.source, optionsFor(served.name))).close();
  assert.equal((await store.layers()).length, 20);
  await store.evict(2 ** 40);
  assert.equal(await openStoredImage(store, served.name), undefined);
  store.remove(served.name);
  await store.prune();
  assert.deepEqual(await store.layers(), []);
});

test("openStoredImage() leaves no layer open when it fails", async (t) => {
  const layers = Array.from({ length: 12 }, (_, at) => tarOf([{ name: `file${at}`, content: `${at}\n` }]));
  const served = await serveImage(t, await Promise.all(layers.map((tar) => estargzOf(tar))));
  const { store, optionsFor } = await openPlace(t);
  const image = await prepareImage(served.source, optionsFor(served.name));
  const seventh = image.layers[6]?.descriptor.digest;
  await image.close();
  // One that cannot be opened, among others that can.
  const openLayer = store.openLayer.bind(store);
  const broken = new EsgzError("IO_FAILED", "Cannot open layer");
  t.mock.method(store, "openLayer", async (...args: Parameters<Store["openLayer"]>) => {
    if (args[0] === seventh) throw broken;
    return await openLayer(...args);
  });
  await assert.rejects(openStoredImage(store, served.name), broken);
  t.mock.restoreAll();
  // Metadata that cannot be merged.
  await rm(image.mergedMeta.path);
  const threads = new PreparationThreads({ threads: 1 });
  await threads[Symbol.asyncDispose]();
  await assert.rejects(openStoredImage(store, served.name, { threads }), { code: "ABORTED" });
  store.remove(served.name);
  await store.prune();
  assert.deepEqual(await store.layers(), []);
});

test("prepareImage() keeps the index and chooses the platform", async (t) => {
  const served = await serveImage(t, [await estargzOf(BASE)]);
  const { store, optionsFor } = await openPlace(t);
  const { repository } = served.source;
  assert.ok(repository !== undefined);
  const { descriptor } = await served.source.fetchRoot();
  const index = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [{ ...descriptor, platform: PLATFORM }],
  });
  await repository.pushManifest(index, { mediaType: MEDIA_TYPES.ociIndex, reference: "latest" });
  {
    await using image = await prepareImage(served.source, optionsFor(served.name));
    assert.equal(image.root, sha256(index));
    assert.equal(image.manifest, served.manifest);
  }
  assert.deepEqual(await store.content.read(sha256(index)), Buffer.from(index));
  assert.equal(
    await openStoredImage(store, served.name, { platform: { os: "linux", architecture: "arm64" } }),
    undefined,
  );
  await store.prune();
  await using image = await openStoredImage(store, `else@${sha256(index)}`, { platform: PLATFORM });
  assert.equal(image?.manifest, served.manifest);
});

test("an ordinary layer with a hard link to a file below is in the merged image, and cannot be shown by itself", async (t) => {
  const links = tarOf([{ name: "etc/issue", type: "hardlink", linkName: "etc/motd" }]);
  const served = await serveImage(t, [await estargzOf(BASE), plainOf(links)]);
  const { optionsFor } = await openPlace(t);
  await using image = await prepareImage(served.source, optionsFor(served.name));
  const reader = new ErofsReader(await readFile(image.mergedMeta.path));
  const [motd, issue] = ["etc/motd", "etc/issue"].map((path) => reader.findPath(path));
  assert.equal(issue, motd);
  const [base, top] = image.layers.map(({ handle }) => handle.layer);
  assert.ok(base !== undefined && top !== undefined);
  assert.doesNotThrow(() => assertStandsAlone(base));
  assert.throws(() => assertStandsAlone(top), {
    code: "NOT_SUPPORTED",
    message: /got hard links to files of layers below/,
  });
});
