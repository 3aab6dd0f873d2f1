import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { encodeUtf8 } from "../bytes/index.ts";
import { type Descriptor, MEDIA_TYPES, parseIndex, parseManifest } from "../oci/index.ts";
import { sha256, tarOf, Workshop, writeSampleImage } from "./sample-image.fixture.ts";

const AMD64 = { os: "linux", architecture: "amd64" } as const;

let shop: Workshop;
before(async () => {
  shop = await Workshop.open();
});
after(async () => shop[Symbol.asyncDispose]());

async function makeIndex(
  name: string,
): Promise<{ images: Descriptor[]; attestation: Descriptor; unknown: Descriptor }> {
  await using destination = await shop.destination(name);
  const shared = { tar: tarOf({ "shared/file": "shared".repeat(1000) }), compression: "gzip" as const };
  const images: Descriptor[] = [];
  for (const architecture of ["amd64", "arm64"]) {
    const own = { tar: tarOf({ arch: architecture }), compression: "gzip" as const };
    const root = await writeSampleImage(destination, { layers: [shared, own], architecture });
    images.push({ ...root, platform: { os: "linux", architecture } });
  }
  const statement = await destination.writeBlob(encodeUtf8('{"_type":"https://in-toto.io/Statement/v0.1"}'));
  const config = await destination.writeBlob(
    encodeUtf8(
      `{"architecture":"unknown","os":"unknown","rootfs":{"type":"layers","diff_ids":["${statement.digest}"]}}`,
    ),
  );
  const attestation = await destination.writeManifest({
    mediaType: MEDIA_TYPES.ociManifest,
    bytes: encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
        layers: [{ mediaType: "application/vnd.in-toto+json", ...statement }],
      }),
    ),
  });
  const chart = await destination.writeBlob(encodeUtf8("chart"));
  const unknown = await destination.writeManifest({
    mediaType: MEDIA_TYPES.ociManifest,
    bytes: encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: "application/vnd.cncf.helm.config.v1+json", ...chart },
        layers: [{ mediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", ...chart }],
      }),
    ),
  });
  const manifests: Descriptor[] = [
    ...images,
    {
      ...attestation,
      platform: { os: "unknown", architecture: "unknown" },
      annotations: {
        "vnd.docker.reference.digest": images[1]?.digest ?? "",
        "vnd.docker.reference.type": "attestation-manifest",
      },
    },
    { ...unknown, annotations: { note: "chart" } },
  ];
  const root = await destination.writeManifest({
    mediaType: MEDIA_TYPES.ociIndex,
    bytes: encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociIndex,
        manifests,
        annotations: { kept: "yes" },
      }),
    ),
  });
  await destination.publish(root);
  return { images, attestation, unknown };
}

test("convertImage() converts all platforms and passes everything else byte for byte", async () => {
  const { images, attestation, unknown } = await makeIndex(shop.image("multi"));
  const report = await shop.convert(shop.image("multi"), shop.layout("multi"), { allPlatforms: true });
  const index = parseIndex((await shop.rootOf(shop.layout("multi"))).bytes);
  const entries = index.manifests ?? [];
  assert.equal(entries.length, 4);
  assert.equal(index.annotations?.["kept"], "yes");
  assert.deepEqual(
    entries.map(({ platform }) => platform?.architecture),
    ["amd64", "arm64", "unknown", undefined],
  );
  assert.notEqual(entries[1]?.digest, images[1]?.digest);
  assert.equal(entries[2]?.digest, attestation.digest);
  assert.deepEqual(entries[2]?.annotations, {
    "vnd.docker.reference.digest": entries[1]?.digest,
    "vnd.docker.reference.type": "attestation-manifest",
  });
  assert.equal(entries[3]?.digest, unknown.digest);
  assert.deepEqual(entries[3]?.annotations, { note: "chart" });
  assert.deepEqual(
    report.images.map(({ action }) => action),
    ["converted", "converted", "passed-through", "passed-through"],
  );
  assert.equal(report.images[1]?.layers[0]?.action, "reused");
  await using source = await shop.source(shop.layout("multi"));
  for (const entry of entries.slice(2)) {
    const { config, layers } = parseManifest((await source.fetchManifest(entry)).bytes);
    for (const blob of [config, ...layers]) {
      assert.equal(sha256(await source.openBlob(blob).read({ offset: 0, size: blob.size })), blob.digest);
    }
  }
});

test("convertImage() of one platform gives a plain manifest, of several an index of them", async () => {
  await makeIndex(shop.image("some"));
  const one = await shop.convert(shop.image("some"), shop.image("some/one"), { platforms: [AMD64] });
  assert.equal(one.root.mediaType, MEDIA_TYPES.ociManifest);
  assert.equal(one.images[0]?.platform, "linux/amd64");
  assert.equal(one.warnings.length, 1);
  const arm64 = { os: "linux", architecture: "arm64" };
  const both = await shop.convert(shop.image("some"), shop.image("some/both"), { platforms: [arm64, AMD64] });
  const entries = parseIndex((await shop.rootOf(shop.image("some/both"))).bytes).manifests ?? [];
  assert.equal(both.root.mediaType, MEDIA_TYPES.ociIndex);
  assert.deepEqual(
    entries.map(({ platform }) => platform?.architecture),
    ["amd64", "arm64", "unknown"],
  );
  const riscv = { os: "linux", architecture: "riscv64" };
  await assert.rejects(shop.convert(shop.image("some"), shop.image("some/none"), { platforms: [riscv] }), {
    code: "PLATFORM_NOT_FOUND",
  });
  await assert.rejects(shop.convert(shop.image("some"), shop.image("some/none")), { code: "USAGE_INVALID" });
});

test("convertImage() passes indexes inside indexes and entries of unknown types", async () => {
  const name = shop.layout("nested");
  await using destination = await shop.destination(name);
  const layers = [{ tar: tarOf({ a: "a" }), compression: "gzip" as const }];
  const image = await writeSampleImage(destination, { layers });
  const write = async (manifests: readonly Descriptor[]): Promise<Descriptor> =>
    destination.writeManifest({
      mediaType: MEDIA_TYPES.ociIndex,
      bytes: encodeUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests })),
    });
  const inner = await write([{ ...image, platform: { os: "linux", architecture: "s390x" } }]);
  const blob = await destination.writeBlob(encodeUtf8("something else"));
  const other: Descriptor = { mediaType: "application/x-other", ...blob };
  const root = await write([{ ...image, platform: AMD64 }, inner, other]);
  await destination.publish(root);
  const report = await shop.convert(name, shop.layout("nested-result"), { allPlatforms: true });
  assert.deepEqual(
    report.images.map(({ action }) => action),
    ["converted", "passed-through", "passed-through"],
  );
  await using source = await shop.source(shop.layout("nested-result"));
  const [, second, third] = parseIndex((await source.fetchRoot()).bytes).manifests ?? [];
  assert.deepEqual([second?.digest, third?.digest], [inner.digest, other.digest]);
  const [inside] = parseIndex((await source.fetchManifest(inner)).bytes).manifests ?? [];
  const [layer] = parseManifest((await source.fetchManifest(inside ?? inner)).bytes).layers;
  assert.ok(layer !== undefined);
  assert.equal(sha256(await source.openBlob(layer).read({ offset: 0, size: layer.size })), layer.digest);
  assert.equal(
    new TextDecoder().decode(await source.openBlob(other).read({ offset: 0, size: other.size })),
    "something else",
  );
});

test("convertImage() keeps a docker manifest list one for formats that docker knows", async () => {
  const name = shop.layout("docker-list");
  await using destination = await shop.destination(name);
  const layers = [{ tar: tarOf({ a: "a" }), compression: "uncompressed" as const }];
  const image = await writeSampleImage(destination, { layers, family: "docker" });
  const list = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.dockerIndex,
    manifests: [{ ...image, platform: AMD64 }],
  };
  const bytes = encodeUtf8(JSON.stringify(list));
  await destination.publish(await destination.writeManifest({ bytes, mediaType: MEDIA_TYPES.dockerIndex }));
  const rootOf = async (to: string): Promise<string[]> => {
    await using source = await shop.source(to);
    const root = await source.fetchRoot();
    const [entry] = parseIndex(root.bytes).manifests ?? [];
    const manifest = parseManifest((await source.fetchManifest(entry ?? image)).bytes);
    return [
      root.descriptor.mediaType,
      entry?.mediaType ?? "",
      manifest.config.mediaType,
      manifest.layers[0]?.mediaType ?? "",
    ];
  };
  await shop.convert(name, shop.layout("docker-gzip"), { allPlatforms: true, format: "gzip" });
  assert.deepEqual(await rootOf(shop.layout("docker-gzip")), [
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
  ]);
  await shop.convert(name, shop.layout("docker-estargz"), { allPlatforms: true });
  assert.deepEqual(await rootOf(shop.layout("docker-estargz")), [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
  ]);
});
