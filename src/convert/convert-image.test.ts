import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { after, before, test } from "node:test";
import { encodeUtf8 } from "../bytes/index.ts";
import { openImage, openLayerArchive, streamLayerTar, verifyLayer } from "../image/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  MEDIA_TYPES,
  parseImageConfig,
  parseManifest,
} from "../oci/index.ts";
import type { ConvertOptions } from "./convert-options.ts";
import type { ConvertEvent, ConvertReport } from "./convert-report.ts";
import { sampleLayers, sha256, tarOf, Workshop } from "./sample-image.fixture.ts";

const AMD64 = { os: "linux", architecture: "amd64" } as const;

let shop: Workshop;
before(async () => {
  shop = await Workshop.open();
  await shop.makeImage(shop.image("sample"), { layers: await sampleLayers() });
});
after(async () => shop[Symbol.asyncDispose]());

const VARIANTS: readonly (readonly [string, Partial<ConvertOptions>])[] = [
  ["eStargz", {}],
  ["eStargz with small chunks", { chunkSize: 65536, level: 1 }],
  ["eStargz with shared members", { chunkSize: 65536, minChunkSize: 20000 }],
  ["eStargz with prioritized files", { chunkSize: 65536, prioritize: ["etc/passwd", "app/*"] }],
  ["eStargz with an external TOC", { externalToc: true }],
  ["eStargz with an external TOC and its diff ids", { externalToc: true, keepDiffId: true }],
  ["zstd:chunked", { format: "zstd:chunked", chunkSize: 65536 }],
  ["zstd:chunked with its diff ids", { format: "zstd:chunked", keepDiffId: true }],
  ["gzip", { format: "gzip" }],
  ["zstd", { format: "zstd" }],
  ["no compression", { format: "uncompressed" }],
];

for (const [index, [name, options]] of VARIANTS.entries()) {
  test(`convertImage() to ${name} gives layers that verify, whatever the jobs`, async () => {
    const to = (jobs: number): string => shop.image(`variant${index}/jobs${jobs}`);
    const one = await shop.convert(shop.image("sample"), to(1), { ...options, jobs: 1 });
    const two = await shop.convert(shop.image("sample"), to(2), { ...options, jobs: 2 });
    const many = await shop.convert(shop.image("sample"), to(16), { ...options, jobs: 16 });
    assert.deepEqual([two.root, many.root], [one.root, one.root]);
    assert.deepEqual(two.tocImage?.root, one.tocImage?.root);
    await checkImage(to(2), options);
    checkReport(two);
  });
}

/** Every layer is whole, of the right kind, and the image is otherwise as it was. */
async function checkImage(name: string, options: Partial<ConvertOptions>): Promise<void> {
  await using source = await shop.source(name);
  const image = await openImage(source, { platform: AMD64 });
  const seekable = options.format === undefined || options.format === "zstd:chunked";
  for (const layer of image.layers) {
    for await (const _ of streamLayerTar(layer)) void _;
    assert.equal(layer.descriptor.annotations?.["org.example.layer"], String(layer.index));
    if (!seekable) continue;
    const found = await openLayerArchive(layer, { source });
    assert.equal(found.kind, "seekable");
    const report = await verifyLayer(layer, { source });
    assert.equal(report.passed, true, JSON.stringify(report));
  }
  await using original = await shop.source(shop.image("sample"));
  const before = await openImage(original, { platform: AMD64 });
  assert.deepEqual({ ...image.config, rootfs: undefined }, { ...before.config, rootfs: undefined });
  assert.equal(image.manifest.annotations?.["org.example.image"], "sample");
  const plain = !seekable || options.keepDiffId === true;
  assert.equal(Buffer.compare(image.configBytes, before.configBytes) === 0, plain);
}

function checkReport(report: ConvertReport): void {
  const [image] = report.images;
  assert.equal(image?.action, "converted");
  assert.equal(image.platform, "linux/amd64");
  assert.deepEqual(
    image.layers.map(({ index }) => index),
    [0, 1, 2, 3],
  );
  const [, second, , fourth] = image.layers;
  assert.deepEqual([second?.action, fourth?.action].includes("reused"), true);
  assert.equal(second?.newDigest, fourth?.newDigest);
  assert.deepEqual(report.warnings, []);
}

test("convertImage() from and to OCI layouts gives the same image as through a registry", async () => {
  await shop.makeImage(shop.layout("layout-source"), { layers: await sampleLayers() });
  const there = await shop.convert(shop.layout("layout-source"), shop.layout("layout-result"));
  const here = await shop.convert(shop.image("sample"), shop.image("layout/compare"));
  assert.deepEqual(there.root, here.root);
});

function requestsOf(method: string, url: RegExp): number {
  return shop.requests.filter((request) => request.method === method && url.test(request.url)).length;
}

test("convertImage() passes layers through by one tail read and a mount, without moving them", async () => {
  const first = await shop.convert(shop.image("sample"), shop.image("pass/first"));
  shop.requests.splice(0);
  const again = await shop.convert(shop.image("pass/first"), shop.image("pass/second"));
  assert.deepEqual(again.root, first.root);
  assert.deepEqual(
    again.images[0]?.layers.map(({ action, transfer }) => [action, transfer]),
    [
      ["passed-through", "mounted"],
      ["passed-through", "mounted"],
      ["passed-through", "mounted"],
      ["reused", "none"],
    ],
  );
  assert.equal(again.images[0]?.layers[0]?.reason, "already eStargz");
  // Three layers that differ: a tail read each; they and the config are mounted; nothing is uploaded.
  assert.equal(requestsOf("GET", /\/pass\/first\/blobs\//), 3 + 1);
  assert.equal(requestsOf("POST", /\/pass\/second\/blobs\/uploads\/\?.*mount=/), 3 + 1);
  assert.equal(requestsOf("PATCH", /\/pass\/second\//), 0);
  assert.equal(requestsOf("PUT", /\/pass\/second\/blobs\//), 0);
});

test("convertImage() copies layers that need no change to another medium", async () => {
  await shop.convert(shop.image("sample"), shop.image("copy/first"));
  const copied = await shop.convert(shop.image("copy/first"), shop.layout("copied"));
  assert.deepEqual(copied.images[0]?.layers.map(({ transfer }) => transfer).slice(0, 3), [
    "copied",
    "copied",
    "copied",
  ]);
  const present = await shop.convert(shop.image("copy/first"), shop.layout("copied", "again"));
  assert.deepEqual(present.images[0]?.layers.map(({ transfer }) => transfer).slice(0, 3), [
    "present",
    "present",
    "present",
  ]);
  assert.deepEqual((await shop.rootOf(shop.layout("copied", "again"))).descriptor.digest, copied.root.digest);
});

test("convertImage() recompresses what is in the format already when forced", async () => {
  await shop.convert(shop.image("sample"), shop.image("force/first"), { level: 1 });
  const forced = await shop.convert(shop.image("force/first"), shop.image("force/second"), { force: true });
  assert.equal(forced.images[0]?.layers[0]?.action, "converted");
  const direct = await shop.convert(shop.image("sample"), shop.image("force/direct"));
  assert.equal(forced.images[0]?.layers[0]?.newDigest, direct.images[0]?.layers[0]?.newDigest);
});

test("convertImage() removes what was said about the old blobs", async () => {
  await shop.convert(shop.image("sample"), shop.image("stale/estargz"));
  await shop.convert(shop.image("stale/estargz"), shop.image("stale/zstd"), { format: "zstd:chunked" });
  const keys = async (name: string): Promise<string[]> => {
    const { layers } = parseManifest((await shop.rootOf(name)).bytes);
    return Object.keys(layers[0]?.annotations ?? {}).sort();
  };
  assert.deepEqual(await keys(shop.image("stale/estargz")), [
    "containerd.io/snapshot/esgz/toc.places",
    "containerd.io/snapshot/stargz/toc.digest",
    "io.containers.estargz.uncompressed-size",
    "org.example.layer",
  ]);
  assert.deepEqual(await keys(shop.image("stale/zstd")), [
    "containerd.io/snapshot/stargz/toc.digest",
    "io.containers.estargz.uncompressed-size",
    "io.containers.zstd-chunked.manifest-checksum",
    "io.containers.zstd-chunked.manifest-position",
    "org.example.layer",
  ]);
  await shop.convert(shop.image("stale/zstd"), shop.image("stale/gzip"), { format: "gzip" });
  assert.deepEqual(await keys(shop.image("stale/gzip")), ["org.example.layer"]);
});
test("convertImage() says with each layer where the tables of those above it lie, the same each time", async () => {
  const layers = ["a", "b", "c"].map((name) => ({
    tar: tarOf({ [name]: name }),
    compression: "gzip" as const,
  }));
  await shop.makeImage(shop.image("places"), { layers });
  const placesOf = async (name: string): Promise<(string | undefined)[]> =>
    parseManifest((await shop.rootOf(name)).bytes).layers.map(
      ({ annotations }) => annotations?.[ANNOTATIONS.tocPlaces],
    );
  const first = await shop.convert(shop.image("places"), shop.image("places/first"));
  const [all = "", two = "", one = ""] = await placesOf(shop.image("places/first"));
  assert.match(one, /^\d+\/\d+$/);
  assert.ok(two.endsWith(`,${one}`) && all.endsWith(`,${two}`), all);
  const forced = await shop.convert(shop.image("places/first"), shop.image("places/forced"), { force: true });
  assert.equal(forced.root.digest, first.root.digest);
  const passed = await shop.convert(shop.image("places/first"), shop.image("places/passed"));
  assert.equal(passed.root.digest, first.root.digest);
});

test("convertImage() gives docker images oci media types for eStargz and keeps docker's for gzip", async () => {
  const layers = [{ tar: tarOf({ a: "a" }), compression: "gzip" as const }];
  await shop.makeImage(shop.image("docker"), { layers, family: "docker" });
  const estargz = await shop.convert(shop.image("docker"), shop.image("docker/estargz"));
  assert.equal(estargz.root.mediaType, MEDIA_TYPES.ociManifest);
  const manifest = parseManifest((await shop.rootOf(shop.image("docker/estargz"))).bytes);
  assert.equal(manifest.config.mediaType, MEDIA_TYPES.ociConfig);
  assert.equal(manifest.layers[0]?.mediaType, MEDIA_TYPES.ociLayerGzip);
  const gzip = await shop.convert(shop.image("docker"), shop.image("docker/gzip"), { format: "gzip" });
  assert.deepEqual(gzip.root, (await shop.rootOf(shop.image("docker"))).descriptor);
  const oci = await shop.convert(shop.image("docker"), shop.image("docker/oci"), {
    format: "gzip",
    mediaTypes: "oci",
  });
  assert.equal(oci.images[0]?.layers[0]?.action, "passed-through");
  assert.equal(oci.root.mediaType, MEDIA_TYPES.ociManifest);
});

test("convertImage() leaves foreign layers at their URLs", async () => {
  const diffId: Digest = `sha256:${"d".repeat(64)}`;
  const descriptor: Descriptor = {
    mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    digest: `sha256:${"e".repeat(64)}`,
    size: 12345,
    urls: ["https://example.com/layer"],
  };
  const layers = [{ tar: tarOf({ a: "a" }), compression: "gzip" as const }];
  await shop.makeImage(shop.layout("foreign"), {
    layers,
    foreign: [{ descriptor, diffId }],
    family: "docker",
  });
  const report = await shop.convert(shop.layout("foreign"), shop.layout("foreign-result"));
  assert.deepEqual(
    report.images[0]?.layers.map(({ action }) => action),
    ["left-in-place", "converted"],
  );
  const { layers: found } = parseManifest((await shop.rootOf(shop.layout("foreign-result"))).bytes);
  assert.deepEqual(found[0], {
    ...descriptor,
    mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
  });
});

test("convertImage() passes through what is no container image", async () => {
  await using destination = await shop.destination(shop.image("chart"));
  const chart = await destination.writeBlob(encodeUtf8("chart"));
  const root = await destination.writeManifest({
    mediaType: MEDIA_TYPES.ociManifest,
    bytes: encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        config: { mediaType: "application/vnd.cncf.helm.config.v1+json", ...chart },
        layers: [{ mediaType: "application/vnd.cncf.helm.chart.content.v1.tar+gzip", ...chart }],
      }),
    ),
  });
  await destination.publish(root);
  const report = await shop.convert(shop.image("chart"), shop.image("chart/copy"));
  assert.equal(report.root.digest, root.digest);
  assert.equal(
    report.images[0]?.reason,
    "not a container image: its config is application/vnd.cncf.helm.config.v1+json",
  );
});

test("convertImage() that is interrupted leaves no name, no uploads and no files behind", async () => {
  const files = ["a", "b", "c", "d"].map((name) => [name, randomBytes(4 << 20).toString("base64")]);
  const layers = [{ tar: tarOf(Object.fromEntries(files)), compression: "uncompressed" as const }];
  await shop.makeImage(shop.image("large"), { layers });
  const variants = [{ level: 1 }, { level: 1, prioritize: ["c"] }, { format: "zstd" as const }];
  for (const [index, options] of variants.entries()) {
    const to = shop.image(`interrupted${index}`);
    const stop = new AbortController();
    const reason = new Error("stopped by the test");
    const onProgress = (event: ConvertEvent): void => {
      // Behind the first chunk of the upload, in front of the end.
      if (event.kind === "layer-progress" && event.bytesOut > 10 << 20) stop.abort(reason);
    };
    const work = shop.convert(shop.image("large"), to, { ...options, onProgress, signal: stop.signal });
    await assert.rejects(work, (error) => error === reason);
    await assert.rejects(shop.rootOf(to), { code: "REGISTRY_NOT_FOUND" });
    const uploads = new RegExp(`/interrupted${index}/blobs/uploads/`);
    assert.equal(requestsOf("POST", uploads), 1);
    assert.equal(requestsOf("DELETE", uploads), 1);
  }
  assert.deepEqual(
    (await readdir(shop.directory)).filter((name) => name.startsWith("esgz-convert-")),
    [],
  );
});

test("convertImage() refuses a layer that is not what its digests say, and leaves no name", async () => {
  await using destination = await shop.destination(shop.image("broken"));
  const good = tarOf({ a: "a" });
  const blob = await destination.writeBlob(good);
  const config = await destination.writeBlob(
    encodeUtf8(
      JSON.stringify({
        os: "linux",
        architecture: "amd64",
        rootfs: { type: "layers", diff_ids: [sha256(encodeUtf8("other"))] },
      }),
    ),
  );
  const root = await destination.writeManifest({
    mediaType: MEDIA_TYPES.ociManifest,
    bytes: encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
        layers: [{ mediaType: MEDIA_TYPES.ociLayer, ...blob }],
      }),
    ),
  });
  await destination.publish(root);
  await assert.rejects(shop.convert(shop.image("broken"), shop.image("broken/result")), {
    code: "DIGEST_MISMATCH",
  });
  await assert.rejects(shop.rootOf(shop.image("broken/result")), { code: "REGISTRY_NOT_FOUND" });
});

test("convertImage() refuses to put seekable layers into a docker archive, and nothing else", async () => {
  const archive = `docker-archive:${shop.directory}/archive.tar:a/b:1`;
  await assert.rejects(shop.convert(shop.image("sample"), archive), {
    code: "NOT_SUPPORTED",
    message: /plain tars$/,
  });
  await shop.convert(shop.image("sample"), archive, { format: "uncompressed", mediaTypes: "docker" });
  const back = await shop.convert(archive, shop.image("from-archive"));
  const direct = await shop.convert(shop.image("sample"), shop.image("from-archive/direct"));
  assert.deepEqual(
    back.images[0]?.layers.map(({ newDigest }) => newDigest),
    direct.images[0]?.layers.map(({ newDigest }) => newDigest),
  );
});

test("convertImage() converts layers without any entry or without any byte", async () => {
  const layers = [
    { tar: new Uint8Array(0), compression: "gzip" as const },
    { tar: new Uint8Array(0), compression: "uncompressed" as const },
    { tar: new Uint8Array(1024), compression: "zstd" as const },
  ];
  await shop.makeImage(shop.image("empty"), { layers });
  for (const format of ["estargz", "zstd:chunked", "gzip", "zstd", "uncompressed"] as const) {
    const to = shop.image("empty/result", format.replace(":", "-"));
    await shop.convert(shop.image("empty"), to, { format });
    await using source = await shop.source(to);
    for (const layer of (await openImage(source, { platform: AMD64 })).layers) {
      const report = await verifyLayer(layer, { source });
      assert.equal(report.passed, true, JSON.stringify(report));
    }
  }
});

test("convertImage() reports the bytes that go in and out of each layer", async () => {
  const events: ConvertEvent[] = [];
  const report = await shop.convert(shop.image("sample"), shop.image("events"), {
    onProgress: (event) => events.push(event),
  });
  const [layer] = report.images[0]?.layers ?? [];
  const ofLayer = events.filter((event) => event.layer.index === 0);
  assert.equal(ofLayer[0]?.kind, "layer-started");
  assert.equal(ofLayer.at(-1)?.kind, "layer-finished");
  const last = ofLayer.findLast((event) => event.kind === "layer-progress");
  assert.ok(last?.kind === "layer-progress");
  assert.equal(last.bytesIn, layer?.oldSize);
  assert.equal(last.bytesOut, layer?.newSize);
});

test("convertImage() keeps the order of config fields that nobody knows", async () => {
  await shop.convert(shop.image("sample"), shop.image("order"));
  await using source = await shop.source(shop.image("order"));
  const { configBytes, manifestBytes } = await openImage(source, { platform: AMD64 });
  assert.deepEqual(Object.keys(JSON.parse(Buffer.from(configBytes).toString()) as object), [
    "x-first",
    "architecture",
    "os",
    "config",
    "rootfs",
    "history",
    "moby.buildkit.cache.v0",
  ]);
  assert.equal(parseImageConfig(configBytes).history?.length, 5);
  assert.equal(
    (JSON.parse(Buffer.from(manifestBytes).toString()) as Record<string, unknown>)["x-unknown"],
    true,
  );
});

test("a layer that links to a file of a layer below stays as it is, and that is said", async () => {
  const layers = [
    { tar: tarOf({ "app/": "", "app/data": "below" }), compression: "gzip" },
    { tar: tarOf({ "app/": "", "app/other": { link: "app/data" } }), compression: "gzip" },
  ] as const;
  await shop.makeImage(shop.image("linked"), { layers });
  const report = await shop.convert(shop.image("linked"), shop.image("linked/converted"), {});
  const [lower, upper] = report.images[0]?.layers ?? [];
  assert.deepEqual([lower?.action, upper?.action], ["converted", "passed-through"]);
  assert.equal(upper?.newDigest, upper?.oldDigest);
  assert.match(report.warnings.join("\n"), /hard link to a file of a layer below/);
});
