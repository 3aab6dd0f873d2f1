import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestMediaTypeOf, parseImageConfig, parseIndex, parseManifest } from "./manifest.ts";
import { MEDIA_TYPES } from "./media-types.ts";

const DIGEST = `sha256:${"0".repeat(64)}`;
const CONFIG = { mediaType: MEDIA_TYPES.ociConfig, digest: DIGEST, size: 2 };
const bytesOf = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

test("parseManifest() keeps fields that it does not know", () => {
  const manifest = parseManifest(bytesOf({ schemaVersion: 2, config: CONFIG, layers: [], extra: { a: 1 } }));
  assert.deepEqual(JSON.parse(JSON.stringify(manifest)), {
    schemaVersion: 2,
    config: CONFIG,
    layers: [],
    extra: { a: 1 },
  });
});

const BAD_MANIFESTS: Readonly<Record<string, unknown>> = {
  "schema 1": { schemaVersion: 1, config: CONFIG, layers: [] },
  "no config": { schemaVersion: 2, layers: [] },
  "a negative size": { schemaVersion: 2, config: { ...CONFIG, size: -1 }, layers: [] },
  "a fractional size": { schemaVersion: 2, config: { ...CONFIG, size: 1.5 }, layers: [] },
  "a huge size": { schemaVersion: 2, config: { ...CONFIG, size: 2 ** 60 }, layers: [] },
  "a digest that climbs": { schemaVersion: 2, config: { ...CONFIG, digest: "sha256:../../etc" }, layers: [] },
  "layers that are no list": { schemaVersion: 2, config: CONFIG, layers: {} },
  null: null,
};

for (const [what, value] of Object.entries(BAD_MANIFESTS)) {
  test(`parseManifest() refuses ${what}`, () => {
    assert.throws(() => parseManifest(bytesOf(value)), { code: "MANIFEST_INVALID" });
  });
}

test("parseManifest() refuses bytes that are not UTF-8", () => {
  assert.throws(() => parseManifest(Uint8Array.of(0x7b, 0xff, 0x7d)), { code: "MANIFEST_INVALID" });
});

test("parseIndex() takes null annotations and manifests, as Go writers leave them", () => {
  assert.equal(parseIndex(bytesOf({ schemaVersion: 2, manifests: null, annotations: null })).manifests, null);
});

test("parseImageConfig() refuses a root filesystem of another type", () => {
  assert.throws(() => parseImageConfig(bytesOf({ rootfs: { type: "tree" } })), { code: "MANIFEST_INVALID" });
});

test("manifestMediaTypeOf() refuses a body that is a manifest and an index at once", () => {
  const both = { schemaVersion: 2, config: CONFIG, layers: [], manifests: [] };
  assert.throws(() => manifestMediaTypeOf(bytesOf(both)), { code: "MANIFEST_INVALID" });
});

test("manifestMediaTypeOf() refuses an index that is announced as a manifest", () => {
  const index = bytesOf({ schemaVersion: 2, manifests: [] });
  assert.throws(() => manifestMediaTypeOf(index, MEDIA_TYPES.ociManifest), { code: "MANIFEST_INVALID" });
});

test("manifestMediaTypeOf() believes the body before the medium", () => {
  const body = bytesOf({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.dockerManifest,
    config: CONFIG,
    layers: [],
  });
  assert.equal(manifestMediaTypeOf(body, MEDIA_TYPES.ociManifest), MEDIA_TYPES.dockerManifest);
});
