import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeUtf8 } from "../bytes/index.ts";
import { gzipSync } from "node:zlib";
import { MemoryBlob } from "../blob/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { openArchive } from "../estargz/index.ts";
import { type AnnotationMap, ANNOTATIONS, type Digest, type ManifestContent } from "../oci/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { ExternalTocs } from "./external-tocs.ts";
import type { Layer } from "./image.ts";
import type { ImageSource } from "./image-source.ts";
import { collect, sha256 } from "./layer.fixture.ts";
import { openLayerArchive } from "./open-layer-archive.ts";
import { streamLayerTar } from "./stream-layer-tar.ts";
import { verifyLayer } from "./verify-layer.ts";

const VECTORS = new URL("../../test/vectors/", import.meta.url);
const TOC = ANNOTATIONS.tocDigest;
const NO_DIGEST: Digest = `sha256:${"0".repeat(64)}`;

function vector(name: string): Uint8Array {
  return readFileSync(new URL(name, VECTORS));
}

function layerOf(
  blob: Uint8Array,
  options: Partial<Layer> & { readonly annotations?: AnnotationMap } = {},
): Layer {
  const { annotations, ...rest } = options;
  const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
  return {
    index: 0,
    descriptor: { mediaType, digest: sha256(blob), size: blob.length, annotations },
    compression: "gzip",
    blob: new MemoryBlob(blob),
    ...rest,
  };
}

// TOC digests and diff ids as the README of the vectors lists them; the TOC of zstdchunked as zstd(1) and sha256sum(1) see it.
const SEEKABLE = [
  [
    "default",
    "estargz",
    "df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
    "b4ef5523e42fceee71bfcbb215e90cc31d0ea6e1612763edf474772c8976e057",
  ],
  [
    "chunk64k",
    "estargz",
    "01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91",
    "afbc84db04e24eba9f5e654f661079bb9e08825606287eb165084be3953748c9",
  ],
  [
    "minchunk",
    "estargz",
    "578d3da8df905d9f37b8332100bccbbcd9cc1994a031459f83c26290d69c9507",
    "b80f5f37da4eff7e9ea16ea1b8e979f88ab049d2a679e5edc63551e764bc07c0",
  ],
  [
    "prioritized",
    "estargz",
    "645dc2585a9c075d3ba8740c0a59ee390ae5c3158056eec3690cdd066abc23b1",
    "a9721964bcc6aa8ca5484cabb8b914091c2165885a75375739ecfaac0046bf7c",
  ],
  [
    "buildkit",
    "estargz",
    "2a41b1ba7ed27a40ebfbc66d5be7cf7089db25b4f564e8ac3879bc10b70793fe",
    "57c1a7a96a4d762d2f0c5b1b06f8dbe6ffc250ef6041ceccc36f817a1f633b79",
  ],
  [
    "zstdchunked",
    "zstd:chunked",
    "8ed0f5bdd3669d6ae71833bb2cbeb90bf56d7c6ecbdae7855c22db8f8f61922a",
    "55cbfb28676c3460f87883fd2f0e3cb1bda2c7eddbab1255ca105c876712cafb",
  ],
  [
    "externaltoc",
    "estargz",
    "01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91",
    "55cbfb28676c3460f87883fd2f0e3cb1bda2c7eddbab1255ca105c876712cafb",
  ],
] as const;

const SKOPEO_ANNOTATIONS = {
  [ANNOTATIONS.zstdChecksum]: "sha256:b8a357a6e8069f1fba4235897a118ab65f0d8e4f8442f787767f524b371ec395",
  [ANNOTATIONS.zstdPosition]: "375720:25037:119669:1",
};

/** An image source that has nothing but the image of the external TOC of one layer. */
function tocImageOf(layerBlob: Uint8Array): { readonly source: ImageSource; readonly lookups: string[] } {
  const toc = vector("everything.externaltoc.toc.tar.gz");
  const layer = {
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    digest: sha256(toc),
    size: toc.length,
    annotations: { [ANNOTATIONS.tocLayerDigest]: sha256(layerBlob) },
  };
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: NO_DIGEST, size: 2 },
      layers: [layer],
    }),
  );
  const content: ManifestContent = {
    bytes,
    descriptor: { mediaType, digest: sha256(bytes), size: bytes.length },
  };
  const lookups: string[] = [];
  const unused = (): never => {
    throw new Error("not used");
  };
  const source: ImageSource = {
    name: "test",
    kind: "oci",
    fetchRoot: unused,
    fetchManifest: unused,
    openBlob: () => new MemoryBlob(toc),
    fetchCompanion: (suffix) => {
      lookups.push(suffix);
      return Promise.resolve(content);
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { source, lookups };
}

function seekableLayer(name: string, tocDigest: string, diffId: string): Layer {
  const blob = vector(`everything.${name}.blob`);
  const { source } = tocImageOf(blob);
  return layerOf(blob, {
    annotations: { [TOC]: `sha256:${tocDigest}` },
    diffId: `sha256:${diffId}`,
    externalTocs: new ExternalTocs(source),
  });
}

test("verifyLayer() passes layers of other tools", async (t) => {
  for (const [name, format, tocDigest, diffId] of SEEKABLE) {
    await t.test(name, async () => {
      const report = await verifyLayer(seekableLayer(name, tocDigest, diffId));
      assert.deepEqual(report.findings, []);
      assert.deepEqual([report.passed, report.format], [true, format]);
      assert.ok(report.checks.every(({ status }) => status === "passed"));
      assert.equal(report.checks.length, 7);
      assert.ok(report.entryCount >= 336 && report.chunkCount >= 318, JSON.stringify(report));
    });
  }
  await t.test("zstdchunked-skopeo, proven by the digest of the compressed table", async () => {
    const blob = vector("everything.zstdchunked-skopeo.blob");
    const report = await verifyLayer(layerOf(blob, { annotations: SKOPEO_ANNOTATIONS }));
    assert.deepEqual(report.findings, []);
    assert.equal(report.format, "zstd:chunked");
    const skipped = report.checks.filter(({ status }) => status === "skipped");
    assert.deepEqual(
      skipped.map(({ name }) => name),
      ["diff-id"],
    );
  });
});

test("verifyLayer() checks blob and diff id of an ordinary layer", async () => {
  const tar = vector("everything.tar");
  const blob = gzipSync(tar);
  const good = await verifyLayer(layerOf(blob, { diffId: sha256(tar) }));
  assert.deepEqual([good.passed, good.format, good.findingCount], [true, "ordinary", 0]);
  const bad = await verifyLayer(layerOf(blob, { diffId: NO_DIGEST }));
  assert.deepEqual(failedChecks(bad.checks), ["diff-id"]);
});

test("verifyLayer() fails an ordinary layer that holds no tar, or half of one", async () => {
  const tar = vector("everything.tar");
  for (const content of [encodeUtf8("no tar at all".repeat(100)), tar.subarray(0, 1500)]) {
    const report = await verifyLayer(layerOf(gzipSync(content), { diffId: sha256(content) }));
    assert.deepEqual(failedChecks(report.checks), ["tar"]);
  }
  const whole = await verifyLayer(layerOf(gzipSync(tar), { diffId: sha256(tar) }));
  assert.equal(whole.entryCount, 337);
});

test("verifyLayer() names the chunk that a flipped byte hits, and goes on", async () => {
  const [name, , tocDigest, diffId] = SEEKABLE[1];
  const layer = seekableLayer(name, tocDigest, diffId);
  const blob = Uint8Array.from(vector("everything.chunk64k.blob"));
  const found = await openArchive(new MemoryBlob(blob));
  const archive = found.verify(found.tocDigest);
  const chunk = archive.get("data/random")?.chunks[1];
  assert.ok(chunk !== undefined);
  const at = Math.floor((chunk.blobOffset + chunk.blobEnd) / 2);
  blob[at] = (blob[at] ?? 0) ^ 0x40;
  const report = await verifyLayer({ ...layer, blob: new MemoryBlob(blob) });
  const chunkFindings = report.findings.filter(({ check }) => check === "chunks");
  assert.deepEqual(
    chunkFindings.map(({ where }) => where),
    [`data/random at ${chunk.fileOffset}`],
  );
  const failed = failedChecks(report.checks);
  assert.ok(failed.includes("blob-digest") && failed.includes("diff-id"), failed.join());
  assert.ok(!failed.includes("toc-digest") && !failed.includes("blob-size"), failed.join());
});

test("verifyLayer() finds flipped bytes anywhere in a layer", async () => {
  const blob = vector("small.default.blob");
  const annotations = { [TOC]: "sha256:50d8a9b749da50c88ac82e13d38e03fa2dbe9e490d1e333caa6bcbafef261dc4" };
  const layer = layerOf(blob, {
    annotations,
    diffId: "sha256:d7439be33357bbde2f65f9fc1a02a500d8fb3676663ed866139e7e6207965493",
  });
  assert.equal((await verifyLayer(layer)).passed, true);
  for (let at = 0; at < blob.length; at += 3) {
    const damaged = Uint8Array.from(blob);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    const report = await verifyLayer({ ...layer, blob: new MemoryBlob(damaged) });
    assert.ok(failedChecks(report.checks).includes("blob-digest"), `byte ${at}`);
  }
});

test("verifyLayer() tells a wrong TOC digest, size and blob digest apart, and reports all", async () => {
  const [name, , , diffId] = SEEKABLE[0];
  const { descriptor, ...layer } = seekableLayer(name, "1".repeat(64), diffId);
  const wrong = { ...descriptor, digest: NO_DIGEST, size: descriptor.size + 1 };
  const report = await verifyLayer({ ...layer, descriptor: wrong });
  assert.deepEqual(failedChecks(report.checks), ["blob-digest", "blob-size", "toc-digest"]);
});

test("verifyLayer() finds a table of contents that belongs to another tar", async () => {
  const blob = vector("everything.chunk64k.blob");
  const tar = tarOf([{ name: "etc/passwd", content: "root" }, { name: "other" }]);
  const toc = vector("everything.externaltoc.toc.tar.gz");
  const externalFooter = vector("everything.externaltoc.blob").subarray(-46);
  const forged = Buffer.concat([gzipSync(tar), Buffer.alloc(blob.length, 0), externalFooter]);
  const { source } = tocImageOf(forged);
  assert.ok(toc.length > 0);
  const report = await verifyLayer(layerOf(forged), { source });
  const failed = failedChecks(report.checks);
  assert.ok(failed.includes("toc-equals-tar") && failed.includes("chunks"), failed.join());
  const wheres = report.findings.filter(({ check }) => check === "toc-equals-tar").map(({ where }) => where);
  assert.ok(wheres.includes("etc/passwd") && wheres.includes("other") && wheres.includes("data/random"));
});

test("verifyLayer() survives a blob that is cut off anywhere", async () => {
  const [name, , tocDigest, diffId] = SEEKABLE[0];
  const layer = seekableLayer(name, tocDigest, diffId);
  const blob = vector("everything.default.blob");
  for (const size of [0, 1, 40, 51, 1000, 200_000, blob.length - 1]) {
    const report = await verifyLayer({ ...layer, blob: new MemoryBlob(blob.subarray(0, size)) });
    const failed = failedChecks(report.checks);
    assert.ok(
      failed.includes("blob-digest") && failed.includes("blob-size") && failed.includes("toc"),
      failed.join(),
    );
  }
});

test("verifyLayer() passes errors of the medium on", async () => {
  const blob = vector("everything.default.blob");
  const failure = new Error("connection lost");
  const broken = {
    size: blob.length,
    read: (range: { offset: number; size: number }) => new MemoryBlob(blob).read(range),
    stream: async function* () {
      yield blob.subarray(0, 1000);
      throw failure;
    },
  };
  await assert.rejects(verifyLayer(layerOf(blob, { blob: broken })), (error) => error === failure);
});

function failedChecks(
  checks: readonly { readonly name: string; readonly status: string }[],
): readonly string[] {
  return checks
    .filter(({ status }) => status === "failed")
    .map(({ name }) => name)
    .toSorted();
}

/** Counts reads of a blob. */
function counted(layer: Layer): { readonly layer: Layer; readonly reads: number[] } {
  const reads: number[] = [];
  const { blob } = layer;
  const counting: Layer["blob"] = {
    size: blob.size,
    read: (range, options) => {
      reads.push(range.size);
      return blob.read(range, options);
    },
    stream: (range, options) => blob.stream(range, options),
  };
  return { layer: { ...layer, blob: counting }, reads };
}

test("openLayerArchive() opens what the manifest proves, with one read", async (t) => {
  for (const [name, format, tocDigest, diffId] of SEEKABLE) {
    await t.test(name, async () => {
      const { layer, reads } = counted(seekableLayer(name, tocDigest, diffId));
      const found = await openLayerArchive(layer);
      assert.ok(found.kind === "seekable" && found.verified);
      assert.equal(found.archive.format, format);
      assert.equal(found.archive.tocDigest, `sha256:${tocDigest}`);
      assert.equal(reads.length, 1);
    });
  }
  for (const prefix of ["io.containers.", "io.github.containers."]) {
    await t.test(`zstd:chunked by ${prefix}zstd-chunked`, async () => {
      const annotations = {
        [`${prefix}zstd-chunked.manifest-checksum`]: SKOPEO_ANNOTATIONS[ANNOTATIONS.zstdChecksum],
        [`${prefix}zstd-chunked.manifest-position`]: SKOPEO_ANNOTATIONS[ANNOTATIONS.zstdPosition],
      };
      const layer = layerOf(vector("everything.zstdchunked-skopeo.blob"), {
        annotations,
        compression: "zstd",
      });
      const found = await openLayerArchive(layer);
      assert.ok(found.kind === "seekable" && found.verified);
    });
  }
});

test("openLayerArchive() looks for the image of external TOCs once per image", async () => {
  const blob = vector("everything.externaltoc.blob");
  const { source, lookups } = tocImageOf(blob);
  const annotations = { [TOC]: "sha256:01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91" };
  const layer = layerOf(blob, { annotations, externalTocs: new ExternalTocs(source) });
  const found = await Promise.all([layer, layer, layer].map((each) => openLayerArchive(each)));
  assert.deepEqual(
    found.map(({ kind }) => kind),
    ["seekable", "seekable", "seekable"],
  );
  assert.deepEqual(lookups, ["-esgztoc"]);
  const alone = await openLayerArchive(layerOf(blob, { annotations }));
  assert.ok(alone.kind === "opaque" && /elsewhere/.test(alone.reason));
});

test("openLayerArchive() takes an unproven table of contents only when asked", async () => {
  const layer = layerOf(vector("everything.default.blob"));
  const required = await openLayerArchive(layer);
  assert.ok(required.kind === "opaque" && !required.mismatch);
  const computed = await openLayerArchive(layer, { verification: "computed" });
  assert.ok(computed.kind === "seekable" && !computed.verified);
});

test("openLayerArchive() flags a layer that contradicts its annotation", async () => {
  const annotations = { [TOC]: NO_DIGEST };
  const layer = layerOf(vector("everything.default.blob"), { annotations });
  for (const verification of ["required", "computed"] as const) {
    const found = await openLayerArchive(layer, { verification });
    assert.ok(found.kind === "opaque" && found.mismatch);
    assert.ok(isEsgzError(found.cause, "DIGEST_MISMATCH"));
  }
  const unusable = await openLayerArchive(
    layerOf(vector("everything.default.blob"), { annotations: { [TOC]: "?" } }),
  );
  assert.ok(unusable.kind === "opaque" && unusable.mismatch);
});

test("openLayerArchive() finds ordinary layers opaque, whatever their annotations say", async () => {
  const tar = vector("everything.tar");
  const gzip = await openLayerArchive(layerOf(gzipSync(tar)), { verification: "computed" });
  assert.ok(gzip.kind === "opaque" && !gzip.mismatch);
  const soci = await openLayerArchive(layerOf(gzipSync(tar), { annotations: { [TOC]: NO_DIGEST } }));
  assert.ok(soci.kind === "opaque" && !soci.mismatch && isEsgzError(soci.cause, "FOOTER_INVALID"));
  const { layer, reads } = counted(layerOf(tar, { compression: "uncompressed" }));
  assert.equal((await openLayerArchive(layer, { verification: "computed" })).kind, "opaque");
  assert.deepEqual(reads, []);
  const legacy = layerOf(vector("everything.legacy-stargz.blob"), { annotations: { [TOC]: NO_DIGEST } });
  const stargz = await openLayerArchive(legacy);
  assert.ok(stargz.kind === "opaque" && stargz.mismatch);
  assert.equal(
    (await openLayerArchive(layerOf(new Uint8Array(0)), { verification: "computed" })).kind,
    "opaque",
  );
});

test("streamLayerTar() ends normally only for the right bytes", async (t) => {
  const tar = vector("everything.tar");
  const layer = layerOf(gzipSync(tar), { diffId: sha256(tar) });
  assert.equal(sha256(await collect(streamLayerTar(layer))), sha256(tar));
  const { descriptor } = layer;
  await t.test("another blob digest", async () => {
    const wrong = { ...layer, descriptor: { ...descriptor, digest: NO_DIGEST } };
    await assert.rejects(collect(streamLayerTar(wrong)), (error) => isEsgzError(error, "DIGEST_MISMATCH"));
  });
  await t.test("another size", async () => {
    const wrong = { ...layer, descriptor: { ...descriptor, size: descriptor.size - 1 } };
    await assert.rejects(collect(streamLayerTar(wrong)), (error) => isEsgzError(error, "SIZE_MISMATCH"));
  });
  await t.test("another diff id", async () => {
    const wrong = { ...layer, diffId: NO_DIGEST };
    await assert.rejects(collect(streamLayerTar(wrong)), (error) => isEsgzError(error, "DIGEST_MISMATCH"));
  });
  await t.test("a media type that lies", async () => {
    const plain = layerOf(tar, { diffId: sha256(tar), compression: "gzip" });
    assert.equal(sha256(await collect(streamLayerTar(plain))), sha256(tar));
  });
  await t.test("foreign bytes behind the gzip data", async () => {
    const tailed = layerOf(Buffer.concat([gzipSync(tar), Buffer.from("tail")]), { diffId: sha256(tar) });
    assert.equal(sha256(await collect(streamLayerTar(tailed))), sha256(tar));
  });
});
