import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ImageSource } from "../image/index.ts";
import {
  estargzOf,
  type LayerBlob,
  PLATFORM,
  serveImage,
  type ServedImage,
  sha256,
  temporaryStore,
} from "../lazyfs/image.fixture.ts";
import { ANNOTATIONS, type Digest, parseTocPlaces, type TocPlace } from "../oci/index.ts";
import type { Store } from "../store/index.ts";
import type { ToldLayers } from "../lazyfs/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { RemoteImage } from "./remote-image.ts";

const LIMIT = { timeout: 20_000 };

async function makeLayers(): Promise<[LayerBlob, LayerBlob]> {
  const [lower, upper] = [tarOf([{ name: "a", content: "a" }]), tarOf([{ name: "b", content: "bb" }])];
  return [await estargzOf(lower), await estargzOf(upper)];
}

function tocDigestOf({ annotations }: LayerBlob): Digest {
  return annotations?.[ANNOTATIONS.tocDigest] as Digest;
}

function placesOf(layers: readonly LayerBlob[]): Map<Digest, TocPlace> {
  return new Map(
    layers.flatMap(({ blob, annotations }) =>
      parseTocPlaces(annotations?.[ANNOTATIONS.tocPlaces]).map((place) => [sha256(blob), place] as const),
    ),
  );
}

/** The requests for blobs, by digest. */
function readsOf({ requests }: ServedImage): string[] {
  return requests.flatMap(({ url }) => /\/blobs\/(sha256:\w+)/.exec(url)?.[1] ?? []).toSorted();
}

/** Opens an image, whose manifest comes when a test lets it. */
async function openWhen(
  t: TestContext,
  {
    served,
    store,
    asked,
    gate,
  }: { served: ServedImage; store: Store; asked: ToldLayers; gate?: Promise<void> },
): Promise<RemoteImage> {
  const { source } = served;
  const late: ImageSource = {
    ...source,
    name: source.name,
    kind: source.kind,
    ...(source.repository && { repository: source.repository }),
    openBlob: (descriptor) => source.openBlob(descriptor),
    fetchManifest: (descriptor, options) => source.fetchManifest(descriptor, options),
    fetchCompanion: (suffix, options) => source.fetchCompanion(suffix, options),
    fetchRoot: async (options) => {
      await gate;
      return await source.fetchRoot(options);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const common = { store, source: late, platform: PLATFORM, verification: "required" } as const;
  const image = await RemoteImage.open({ ...common, asked });
  t.after(() => image[Symbol.asyncDispose]());
  return image;
}

/** The table of contents that a layer is in the store by, or why it is not. */
async function shownBy(image: RemoteImage, { blob }: LayerBlob): Promise<string | undefined> {
  const found = await image.layer(sha256(blob));
  return found?.kind === "ready" ? found.handle.layer.source.tocDigest : found?.reason;
}

test(
  "RemoteImage reads the tables of all layers that it was told of before the manifest is here",
  LIMIT,
  async (t) => {
    const layers = await makeLayers();
    const [lower] = layers;
    const served = await serveImage(t, layers);
    const store = await temporaryStore(t);
    const asked = { digest: sha256(lower.blob), tocDigest: tocDigestOf(lower), tocPlaces: placesOf(layers) };
    const gate = Promise.withResolvers<void>();
    const opening = openWhen(t, { served, store, asked, gate: gate.promise });
    const all = layers.map(({ blob }) => sha256(blob)).toSorted();
    while (readsOf(served).length < all.length) await new Promise((resolve) => setTimeout(resolve, 5));
    gate.resolve();
    const image = await opening;
    for (const layer of layers) assert.equal(await shownBy(image, layer), tocDigestOf(layer));
    // Once each.
    assert.deepEqual(readsOf(served), all);
    // And not at all where they are in the store.
    const again = await openWhen(t, { served, store, asked });
    for (const layer of layers) assert.equal(await shownBy(again, layer), tocDigestOf(layer));
    assert.deepEqual(readsOf(served), all);
  },
);

test("RemoteImage shows layers as the manifest says, whatever it was told", LIMIT, async (t) => {
  const layers = await makeLayers();
  const [lower, upper] = layers;
  const other: Digest = `sha256:${"e".repeat(64)}`;
  const [lowerDigest, upperDigest] = [sha256(lower.blob), sha256(upper.blob)];
  const places = placesOf(layers);
  const [lowerPlace] = places.values();
  assert.ok(lowerPlace !== undefined);
  const told: Omit<ToldLayers, "digest">[] = [
    {},
    { tocDigest: tocDigestOf(lower) },
    { tocPlaces: places },
    // Another layer's table.
    { tocDigest: tocDigestOf(upper), tocPlaces: places },
    { tocDigest: other, tocPlaces: places },
    // Blobs of other sizes, of which there may be none.
    { tocDigest: tocDigestOf(lower), tocPlaces: new Map([[lowerDigest, { offset: 1, blobSize: 2 }]]) },
    {
      tocDigest: tocDigestOf(lower),
      tocPlaces: new Map([[lowerDigest, { offset: 1 << 20, blobSize: 1 << 22 }]]),
    },
    { tocDigest: tocDigestOf(lower), tocPlaces: new Map([[upperDigest, lowerPlace]]) },
    { tocDigest: tocDigestOf(lower), tocPlaces: new Map([[other, lowerPlace]]) },
    // No place of the table.
    { tocDigest: tocDigestOf(lower), tocPlaces: new Map([[lowerDigest, { ...lowerPlace, offset: 0 }]]) },
  ];
  for (const [at, facts] of told.entries()) {
    const served = await serveImage(t, layers);
    const store = await temporaryStore(t);
    const image = await openWhen(t, { served, store, asked: { digest: lowerDigest, ...facts } });
    for (const layer of layers) assert.equal(await shownBy(image, layer), tocDigestOf(layer), `case ${at}`);
  }
});

test("RemoteImage shows no layer by a table that is another than both sides say", LIMIT, async (t) => {
  const [lower, upper] = await makeLayers();
  const tocDigest: Digest = `sha256:${"f".repeat(64)}`;
  const liar = { ...lower, annotations: { ...lower.annotations, [ANNOTATIONS.tocDigest]: tocDigest } };
  const served = await serveImage(t, [liar, upper]);
  const store = await temporaryStore(t);
  const digest = sha256(lower.blob);
  const asked = { digest, tocDigest, tocPlaces: placesOf([lower, upper]) };
  const image = await openWhen(t, { served, store, asked });
  // It is small, and its own digest proves it whole.
  const found = await image.layer(digest);
  assert.ok(found?.kind === "ready" && !found.lazy && found.handle.layer.complete);
  assert.equal(await shownBy(image, upper), tocDigestOf(upper));
});

test("RemoteImage holds what it made of two layers at most, however slow the disk is", LIMIT, async (t) => {
  const names = ["a", "b", "c", "d"];
  const layers = await Promise.all(names.map((name) => estargzOf(tarOf([{ name, content: name }]))));
  const served = await serveImage(t, layers);
  const store = await temporaryStore(t);
  const disk = Promise.withResolvers<void>();
  let held = 0;
  let most = 0;
  const createLayer = store.createLayer.bind(store);
  t.mock.method(store, "createLayer", async (...args: Parameters<Store["createLayer"]>) => {
    held += 1;
    most = Math.max(most, held);
    await disk.promise;
    held -= 1;
    return await createLayer(...args);
  });
  const [lowest] = layers;
  assert.ok(lowest !== undefined);
  const image = await openWhen(t, { served, store, asked: { digest: sha256(lowest.blob) } });
  while (readsOf(served).length < layers.length || held < 2)
    await new Promise((resolve) => setTimeout(resolve, 5));
  // Others would be made meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 100));
  disk.resolve();
  for (const layer of layers) assert.equal(await shownBy(image, layer), tocDigestOf(layer));
  assert.equal(most, 2);
});
