import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { encodeUtf8 } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { type Descriptor, encodeManifest, MEDIA_TYPES, parseIndex } from "../oci/index.ts";
import { RegistryClient } from "../registry/index.ts";
import { startRegistryServer } from "../registry-server/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { openImage } from "./image.ts";
import type { ImageDestination } from "./image-destination.ts";
import type { ImageSource } from "./image-source.ts";
import { collect, makeImage, sha256, temporaryDirectory, writeImage } from "./layer.fixture.ts";
import { openImageDestination, openImageSource } from "./open-image-source.ts";
import { streamLayerTar } from "./stream-layer-tar.ts";

const AMD64 = { os: "linux", architecture: "amd64" };

/** One place for one image on a medium. */
interface Place {
  readonly source: () => Promise<ImageSource>;
  readonly destination: () => Promise<ImageDestination>;
  /** Files that are there apart from finished blobs; undefined where nobody can look. */
  readonly leftovers?: () => readonly string[];
}

async function placeAt(t: TestContext, nameIn: (directory: string) => string): Promise<Place> {
  const directory = await temporaryDirectory(t);
  const name = nameIn(directory);
  return {
    source: () => openImageSource(name, {}),
    destination: () => openImageDestination(name, {}),
    leftovers: () =>
      readdirSync(directory, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.parentPath.endsWith("blobs/sha256"))
        .map((entry) => entry.name),
  };
}

const MEDIA: Readonly<Record<string, (t: TestContext) => Promise<Place>>> = {
  "oci with a tag": (t) => placeAt(t, (directory) => `oci:${directory}/image:v1`),
  "oci without a tag": (t) => placeAt(t, (directory) => `oci:${directory}/image`),
  dir: (t) => placeAt(t, (directory) => `dir:${directory}/image`),
  "docker-archive": (t) => placeAt(t, (directory) => `docker-archive:${directory}/image.tar`),
  "docker-archive with a name": (t) =>
    placeAt(t, (directory) => `docker-archive:${directory}/image.tar:app:v1`),
  registry: async (t) => {
    const server = await startRegistryServer({});
    const registry = new RegistryClient();
    t.after(async () => {
      await registry.close();
      await server.close();
    });
    const name = `${server.host}:${server.port}/team/app:v1`;
    return {
      source: () => openImageSource(name, { registry }),
      destination: () => openImageDestination(name, { registry }),
    };
  },
};

/** The same test on every medium. */
function onEveryMedium(
  name: string,
  body: (t: TestContext, place: Place, medium: string) => Promise<void>,
): void {
  for (const [medium, open] of Object.entries(MEDIA)) {
    test(`${medium}: ${name}`, async (t) => body(t, await open(t), medium));
  }
}

const TARS = [
  tarOf([{ name: "etc/" }, { name: "etc/passwd", content: "root" }]),
  tarOf([{ name: "big", content: "0123456789".repeat(300_000) }]),
];
const IMAGE = makeImage(TARS);

async function store(place: Place, image = IMAGE): Promise<void> {
  await using destination = await place.destination();
  await writeImage(destination, image);
  await destination.publish(image.manifest);
}

const isMissing = (error: unknown): boolean =>
  isEsgzError(error, "IMAGE_NOT_FOUND") || isEsgzError(error, "REGISTRY_NOT_FOUND");

onEveryMedium("an image comes back as it was written", async (_t, place, medium) => {
  await store(place);
  await using source = await place.source();
  const root = await source.fetchRoot();
  const image = await openImage(source, { platform: AMD64 });
  assert.equal(image.manifest.config.digest, IMAGE.config.digest);
  assert.deepEqual(Buffer.from(image.configBytes), Buffer.from(IMAGE.blobs.get(IMAGE.config.digest) ?? []));
  if (!medium.startsWith("docker-archive")) {
    assert.equal(root.descriptor.digest, IMAGE.manifest.digest);
    assert.deepEqual(Buffer.from(root.bytes), Buffer.from(IMAGE.manifestBytes));
    assert.deepEqual(
      image.layers.map(({ descriptor }) => descriptor.digest),
      IMAGE.layers.map(({ digest }) => digest),
    );
  }
  for (const [at, layer] of image.layers.entries()) {
    assert.equal(layer.diffId, sha256(TARS[at] ?? new Uint8Array(0)));
    assert.equal(sha256(await collect(streamLayerTar(layer))), layer.diffId);
    const middle = await layer.blob.read({ offset: 50, size: 20 });
    const whole = await collect(layer.blob.stream({ offset: 0, size: layer.blob.size }));
    assert.deepEqual(Buffer.from(middle), Buffer.from(whole.subarray(50, 70)));
    await assert.rejects(layer.blob.read({ offset: layer.blob.size, size: 1 }), (error) =>
      isEsgzError(error, "RANGE_INVALID"),
    );
  }
});

onEveryMedium("nothing has the name before it is published, and disposing cleans up", async (_t, place) => {
  {
    await using destination = await place.destination();
    await writeImage(destination, IMAGE);
    await assert.rejects(async () => {
      await using source = await place.source();
      await source.fetchRoot();
    }, isMissing);
  }
  assert.deepEqual(place.leftovers?.() ?? [], []);
});

onEveryMedium("an image that is there stays when its replacement is abandoned", async (_t, place) => {
  await store(place);
  const other = makeImage([tarOf([{ name: "other" }])]);
  {
    await using destination = await place.destination();
    await writeImage(destination, other);
  }
  await using source = await place.source();
  assert.equal((await openImage(source, { platform: AMD64 })).manifest.config.digest, IMAGE.config.digest);
});

onEveryMedium("a second image replaces the first", async (_t, place) => {
  await store(place);
  const other = makeImage([tarOf([{ name: "other" }])]);
  await store(place, other);
  await using source = await place.source();
  assert.equal((await openImage(source, { platform: AMD64 })).manifest.config.digest, other.config.digest);
});

onEveryMedium("content that is not what was promised is refused", async (_t, place) => {
  await using destination = await place.destination();
  const content = encodeUtf8("content");
  const wrongDigest = { digest: sha256(encodeUtf8("another")), size: content.length };
  const wrongSize = { digest: sha256(content), size: content.length + 1 };
  await assert.rejects(destination.writeBlob(content, { expected: wrongDigest }), (error) =>
    isEsgzError(error, "DIGEST_MISMATCH"),
  );
  await assert.rejects(destination.writeBlob(content, { expected: wrongSize }), (error) =>
    isEsgzError(error, "SIZE_MISMATCH"),
  );
  const descriptor = { mediaType: "application/octet-stream", ...wrongDigest };
  assert.equal(await destination.hasBlob(descriptor), false);
  assert.deepEqual(place.leftovers?.() ?? [], []);
});

onEveryMedium("a stream that breaks leaves no blob", async (_t, place) => {
  await using destination = await place.destination();
  const failure = new Error("source lost");
  const broken = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield encodeUtf8("first");
    throw failure;
  };
  await assert.rejects(destination.writeBlob(broken()), (error) => {
    return error === failure || (error instanceof Error && error.cause === failure);
  });
  const digest = sha256(encodeUtf8("first"));
  assert.equal(await destination.hasBlob({ mediaType: "x/y", digest, size: 5 }), false);
});

onEveryMedium("digest and size of a blob without a promise are told", async (_t, place) => {
  await using destination = await place.destination();
  const pieces = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    yield encodeUtf8("hel");
    yield encodeUtf8("lo");
  };
  // sha256sum of "hello"
  const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  assert.deepEqual(pick(await destination.writeBlob(pieces())), { digest, size: 5 });
  assert.equal(await destination.hasBlob({ mediaType: "x/y", digest, size: 5 }), true);
});

onEveryMedium("a root that was not written is not published", async (_t, place) => {
  await using destination = await place.destination();
  await assert.rejects(destination.publish(IMAGE.manifest), isMissing);
});

onEveryMedium("blobs are written side by side, also the same one twice", async (_t, place) => {
  await using destination = await place.destination();
  const contents = Array.from({ length: 8 }, (_, i) => encodeUtf8(`blob ${i % 4} `.repeat(50_000)));
  const written = await Promise.all(contents.map((content) => destination.writeBlob(content)));
  assert.deepEqual(
    written.map(({ digest }) => digest),
    contents.map((content) => sha256(content)),
  );
});

onEveryMedium("an index keeps every entry byte for byte, unknown ones too", async (_t, place, medium) => {
  const arm = makeImage([TARS[0] ?? new Uint8Array(0)], { architecture: "arm64" });
  const attestation = makeImage([], { architecture: "unknown" });
  const manifests: Descriptor[] = [
    { ...IMAGE.manifest, platform: AMD64 },
    { ...arm.manifest, platform: { os: "linux", architecture: "arm64" } },
    {
      ...attestation.manifest,
      platform: { os: "unknown", architecture: "unknown" },
      annotations: { "vnd.docker.reference.type": "attestation-manifest" },
    },
  ];
  const bytes = encodeManifest({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests });
  await using destination = await place.destination();
  for (const image of [IMAGE, arm, attestation]) await writeImage(destination, image);
  const root = await destination.writeManifest({ bytes, mediaType: MEDIA_TYPES.ociIndex });
  if (medium.startsWith("docker-archive")) {
    await assert.rejects(destination.publish(root), (error) => isEsgzError(error, "NOT_SUPPORTED"));
    return;
  }
  await destination.publish(root);
  await using source = await place.source();
  const found = await source.fetchRoot();
  assert.deepEqual(Buffer.from(found.bytes), Buffer.from(bytes));
  for (const entry of parseIndex(found.bytes).manifests ?? []) {
    assert.equal(sha256((await source.fetchManifest(entry)).bytes), entry.digest);
  }
  const image = await openImage(source, { platform: { os: "linux", architecture: "arm64" } });
  assert.equal(image.descriptor.digest, arm.manifest.digest);
  assert.equal(image.platform?.architecture, "arm64");
  await assert.rejects(openImage(source, { platform: { os: "linux", architecture: "s390x" } }), (error) =>
    isEsgzError(error, "PLATFORM_NOT_FOUND"),
  );
});

onEveryMedium("an abort ends a write and leaves the place as it was", async (_t, place) => {
  const abort = new AbortController();
  await using destination = await place.destination();
  const endless = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (let i = 0; ; i += 1) {
      if (i === 20) abort.abort(new Error("enough"));
      yield new Uint8Array(100_000);
    }
  };
  await assert.rejects(destination.writeBlob(endless(), { signal: abort.signal }), /enough/);
  assert.deepEqual(place.leftovers?.() ?? [], []);
});

test("oci: other names and referrers stay in the index when one image is replaced", async (t) => {
  const directory = await temporaryDirectory(t);
  const other = makeImage([tarOf([{ name: "other" }])]);
  const write = async (name: string, image = IMAGE): Promise<void> => {
    await using destination = await openImageDestination(name, {});
    await writeImage(destination, image);
    await destination.publish(image.manifest);
  };
  await write(`oci:${directory}:a`);
  await write(`oci:${directory}:b`);
  await write(`oci:${directory}:example.com/team/app:1.0`, other);
  const signature = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    artifactType: "application/vnd.example.signature",
    config: { mediaType: MEDIA_TYPES.ociEmpty, digest: sha256(encodeUtf8("{}")), size: 2 },
    layers: [],
    subject: IMAGE.manifest,
  });
  {
    await using destination = await openImageDestination(`oci:${directory}`, {});
    await destination.publish(
      await destination.writeManifest({ bytes: signature, mediaType: MEDIA_TYPES.ociManifest }),
    );
  }
  await write(`oci:${directory}`, other);
  await write(`oci:${directory}`);
  await write(`oci:${directory}:b`, other);
  const index: { manifests: { digest: string; annotations?: Record<string, string> }[] } = JSON.parse(
    readFileSync(join(directory, "index.json"), "utf8"),
  );
  const names = index.manifests.map(({ digest, annotations }) => [
    annotations?.["org.opencontainers.image.ref.name"] ?? "-",
    digest,
  ]);
  assert.deepEqual(names, [
    ["a", IMAGE.manifest.digest],
    ["example.com/team/app:1.0", other.manifest.digest],
    ["-", sha256(signature)],
    ["-", IMAGE.manifest.digest],
    ["b", other.manifest.digest],
  ]);
  await using source = await openImageSource(`oci:${directory}`, {});
  assert.equal((await source.fetchRoot()).descriptor.digest, IMAGE.manifest.digest);
  const referrers = (await source.fetchReferrers?.(IMAGE.manifest)) ?? [];
  assert.deepEqual(
    referrers.map(({ digest }) => digest),
    [sha256(signature)],
  );
  assert.equal((await source.fetchCompanion("-esgztoc")) ?? "none", "none");
});

test("oci: two images published at once are both in the index", async (t) => {
  const directory = await temporaryDirectory(t);
  const tags = ["a", "b", "c", "d"];
  await Promise.all(
    tags.map(async (tag) => {
      await using destination = await openImageDestination(`oci:${directory}:${tag}`, {});
      await writeImage(destination, IMAGE);
      await destination.publish(IMAGE.manifest);
    }),
  );
  for (const tag of tags) {
    await using source = await openImageSource(`oci:${directory}:${tag}`, {});
    assert.equal((await source.fetchRoot()).descriptor.digest, IMAGE.manifest.digest);
  }
});

test("oci: companions are found by the tag and its suffix", async (t) => {
  const directory = await temporaryDirectory(t);
  const other = makeImage([tarOf([{ name: "toc" }])]);
  for (const [tag, image] of [
    ["v1", IMAGE],
    ["v1-esgztoc", other],
  ] as const) {
    await using destination = await openImageDestination(`oci:${directory}:${tag}`, {});
    await writeImage(destination, image);
    await destination.publish(image.manifest);
  }
  await using source = await openImageSource(`oci:${directory}:v1`, {});
  assert.equal((await source.fetchCompanion("-esgztoc"))?.descriptor.digest, other.manifest.digest);
});

test("oci and dir: directories with other files are refused", async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, "home"));
  writeFileSync(join(directory, "home", "letter.txt"), "dear");
  for (const name of [`oci:${directory}/home`, `dir:${directory}/home`]) {
    await assert.rejects(openImageDestination(name, {}), (error) => isEsgzError(error, "ALREADY_EXISTS"));
  }
  assert.ok(existsSync(join(directory, "home", "letter.txt")));
});

test("an image of Docker media types keeps them", async (t) => {
  const directory = await temporaryDirectory(t);
  const docker = makeImage(TARS, { family: "docker" });
  const name = `oci:${directory}:docker`;
  {
    await using destination = await openImageDestination(name, {});
    await writeImage(destination, docker);
    await destination.publish(docker.manifest);
  }
  await using source = await openImageSource(name, {});
  const image = await openImage(source, { platform: AMD64 });
  assert.equal(image.descriptor.mediaType, MEDIA_TYPES.dockerManifest);
  assert.deepEqual(
    image.layers.map(({ compression }) => compression),
    ["gzip", "gzip"],
  );
});

test("openImage() refuses artifacts and manifests whose layers the config does not know", async (t) => {
  const directory = await temporaryDirectory(t);
  const config = encodeUtf8("{}");
  const empty = { mediaType: MEDIA_TYPES.ociEmpty, digest: sha256(config), size: config.length };
  const artifact = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: empty,
    layers: [empty],
  });
  const [layer] = IMAGE.layers;
  assert.ok(layer !== undefined);
  const short = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: IMAGE.config,
    layers: [layer],
  });
  for (const [tag, bytes, code] of [
    ["artifact", artifact, "MEDIA_TYPE_UNSUPPORTED"],
    ["short", short, "MANIFEST_INVALID"],
  ] as const) {
    const name = `oci:${directory}:${tag}`;
    await using destination = await openImageDestination(name, {});
    await writeImage(destination, IMAGE);
    await destination.writeBlob(config);
    await destination.publish(await destination.writeManifest({ bytes, mediaType: MEDIA_TYPES.ociManifest }));
    await using source = await openImageSource(name, {});
    await assert.rejects(openImage(source, { platform: AMD64 }), (error) => isEsgzError(error, code), tag);
  }
});

function pick({ digest, size }: { readonly digest: string; readonly size: number }): object {
  return { digest, size };
}

test("registry: companions are found by the tag, and blobs are mounted across repositories", async (t) => {
  const server = await startRegistryServer({});
  const registry = new RegistryClient();
  t.after(async () => {
    await registry.close();
    await server.close();
  });
  const host = `${server.host}:${server.port}`;
  const put = async (name: string, image = IMAGE): Promise<void> => {
    await using destination = await openImageDestination(`${host}/${name}`, { registry });
    await writeImage(destination, image);
    await destination.publish(image.manifest);
  };
  const other = makeImage([tarOf([{ name: "toc" }])]);
  await put("team/app:v1");
  await put("team/app:v1-esgztoc", other);
  await using source = await openImageSource(`${host}/team/app:v1`, { registry });
  assert.equal((await source.fetchCompanion("-esgztoc"))?.descriptor.digest, other.manifest.digest);
  assert.equal((await source.fetchCompanion("-none")) ?? "none", "none");
  const byDigest = `${host}/team/app@${IMAGE.manifest.digest}`;
  await using pinned = await openImageSource(byDigest, { registry });
  assert.equal((await pinned.fetchRoot()).descriptor.digest, IMAGE.manifest.digest);
  assert.equal((await pinned.fetchCompanion("-esgztoc")) ?? "none", "none");
  await using destination = await openImageDestination(`${host}/team/copy:v1`, { registry });
  for (const descriptor of [...IMAGE.layers, IMAGE.config]) {
    assert.equal(await destination.hasBlob(descriptor), false);
    assert.equal(await destination.mountBlob(descriptor, source), true);
    assert.equal(await destination.hasBlob(descriptor), true);
  }
  await using layout = await openImageSource("oci:/nowhere", {});
  assert.equal(await destination.mountBlob(IMAGE.config, layout), false);
});

test("docker-archive: a damaged archive gives its image or a typed error", async (t) => {
  const file = join(await temporaryDirectory(t), "image.tar");
  const name = `docker-archive:${file}`;
  {
    await using destination = await openImageDestination(`${name}:app:v1`, {});
    await writeImage(destination, makeImage(TARS.slice(0, 1)));
    await destination.publish(makeImage(TARS.slice(0, 1)).manifest);
  }
  const whole = readFileSync(file);
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 5 }), fc.nat(whole.length), async (changes, cutOff) => {
      const bytes = Uint8Array.from(whole.subarray(0, changes.length === 0 ? cutOff : whole.length));
      for (const [at, value] of changes) bytes[at] = value;
      writeFileSync(file, bytes);
      try {
        await using source = await openImageSource(name, {});
        const image = await openImage(source, { platform: AMD64 });
        for (const layer of image.layers) await collect(streamLayerTar(layer));
      } catch (error) {
        assert.ok(isEsgzError(error), String(error));
      }
    }),
    { numRuns: 300, endOnFailure: true },
  );
});

test("openImageSource() asks for a client where the name is a registry's", async () => {
  await assert.rejects(openImageSource("app:v1", {}), (error) => isEsgzError(error, "CONFIGURATION_INVALID"));
});

test("media that are not there are IMAGE_NOT_FOUND, and what is no image is a typed error", async (t) => {
  const directory = await temporaryDirectory(t);
  const open = async (name: string): Promise<void> => {
    await using source = await openImageSource(name, {});
    await openImage(source, { platform: AMD64 });
  };
  for (const name of ["oci:/nowhere", "dir:/nowhere", "docker-archive:/nowhere"]) {
    await assert.rejects(open(name), (error) => isEsgzError(error, "IMAGE_NOT_FOUND"), name);
  }
  writeFileSync(
    join(directory, "index.json"),
    '{"schemaVersion":2,"manifests":[{"digest":"sha256:../../etc/passwd"}]}',
  );
  writeFileSync(join(directory, "manifest.json"), "[]");
  await assert.rejects(open(`oci:${directory}`), (error) => isEsgzError(error, "MANIFEST_INVALID"));
  await assert.rejects(open(`dir:${directory}`), (error) => isEsgzError(error, "MANIFEST_INVALID"));
  const gzipped = join(directory, "a.tar.gz");
  writeFileSync(gzipped, Buffer.from("1f8b0800", "hex"));
  await assert.rejects(open(`docker-archive:${gzipped}`), (error) => isEsgzError(error, "NOT_SUPPORTED"));
  const looped = join(directory, "looped.tar");
  writeFileSync(looped, tarOf([{ name: "manifest.json", type: "symlink", linkName: "manifest.json" }]));
  await assert.rejects(open(`docker-archive:${looped}`), (error) => isEsgzError(error, "IMAGE_NOT_FOUND"));
  const empty = join(directory, "empty.tar");
  writeFileSync(empty, "");
  await assert.rejects(open(`docker-archive:${empty}`), (error) => isEsgzError(error, "IMAGE_NOT_FOUND"));
});
