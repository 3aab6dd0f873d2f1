import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openImage, openLayerArchive } from "../image/index.ts";
import { sampleLayers, Workshop } from "./sample-image.fixture.ts";

const AMD64 = { os: "linux", architecture: "amd64" } as const;

let shop: Workshop;
before(async () => {
  shop = await Workshop.open();
  await shop.makeImage(shop.image("sample"), { layers: await sampleLayers() });
});
after(async () => shop[Symbol.asyncDispose]());

test("convertImage() puts prioritized files in front of the landmark", async () => {
  const prioritize = ["app/copy", "data/*", "none/**", "etc/none"];
  const report = await shop.convert(shop.image("sample"), shop.image("prioritized"), {
    chunkSize: 65536,
    prioritize,
  });
  assert.deepEqual(report.warnings, [
    'prioritized "none/**" is in no layer',
    'prioritized "etc/none" is in no layer',
  ]);
  await using source = await shop.source(shop.image("prioritized"));
  const { layers } = await openImage(source, { platform: AMD64 });
  const [base, app, empty] = layers;
  assert.ok(base !== undefined && app !== undefined && empty !== undefined);
  assert.deepEqual(await pathsInFront(base), {
    front: await pathsUnder(base, "data/"),
    landmark: "prefetch",
  });
  assert.deepEqual(await pathsInFront(app), { front: ["app/data"], landmark: "prefetch" });
  assert.deepEqual(await pathsInFront(empty), { front: [], landmark: "no-prefetch" });
});

type SomeLayer = Parameters<typeof openLayerArchive>[0];

async function archiveOf(
  layer: SomeLayer,
): Promise<Extract<Awaited<ReturnType<typeof openLayerArchive>>, { kind: "seekable" }>["archive"]> {
  const found = await openLayerArchive(layer, {});
  assert.ok(found.kind === "seekable");
  return found.archive;
}

/** Regular files with content, by where their content lies. */
async function pathsInFront(layer: SomeLayer): Promise<{ front: string[]; landmark: string | undefined }> {
  const archive = await archiveOf(layer);
  const files = archive.entries.filter(({ type, size }) => type === "reg" && size > 0);
  const front = files.filter(({ chunks }) => chunks.every((chunk) => chunk.blobEnd <= archive.prefetchSize));
  const behind = files.filter(({ chunks }) =>
    chunks.every((chunk) => chunk.blobOffset >= archive.prefetchSize),
  );
  assert.equal(front.length + behind.length, files.length);
  return { front: front.map(({ path }) => path), landmark: archive.landmark };
}

async function pathsUnder(layer: SomeLayer, prefix: string): Promise<string[]> {
  const archive = await archiveOf(layer);
  return archive.entries
    .filter(
      ({ path, type, size }) =>
        path.startsWith(prefix) && !path.slice(prefix.length).includes("/") && type === "reg" && size > 0,
    )
    .map(({ path }) => path)
    .sort();
}
