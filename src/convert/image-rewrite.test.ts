import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import type { Descriptor, Digest } from "../oci/index.ts";
import {
  isPlatformImage,
  replacedEntry,
  retargetedEntry,
  rewriteConfig,
  rewriteIndex,
  rewriteManifest,
} from "./image-rewrite.ts";

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;
const A = digest("a");
const B = digest("b");
const C = digest("c");

test("rewriteConfig() replaces the diff ids and keeps every other field in its place", () => {
  const old = `{"zeta":1,"architecture":"amd64","os":"linux","config":{"Zed":[1],"Env":["A=b"],"Healthcheck":{"Interval":30000000000}},"rootfs":{"x":1,"diff_ids":["${A}","${A}"],"type":"layers"},"history":[{"created_by":"a"},{"empty_layer":true}],"moby.buildkit.buildinfo.v1":"e30="}`;
  const found = decodeUtf8(rewriteConfig(encodeUtf8(old), [B, C]));
  assert.equal(found, old.replace(`["${A}","${A}"]`, `["${B}","${C}"]`));
});

test("rewriteConfig() keeps the indentation of the old text", () => {
  const old = `{\n   "architecture": "amd64",\n   "rootfs": {\n      "type": "layers",\n      "diff_ids": [\n         "${A}"\n      ]\n   }\n}`;
  assert.equal(decodeUtf8(rewriteConfig(encodeUtf8(old), [B])), old.replace(A, B));
});

test("rewriteConfig() returns the same bytes for the same diff ids", () => {
  const old = encodeUtf8(`{ "rootfs" : {"type":"layers","diff_ids":["${A}"]} }\n`);
  assert.equal(rewriteConfig(old, [A]), old);
});

const layer = (of: Digest): Descriptor => ({
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  digest: of,
  size: 1,
});
const config = (of: Digest, family = "oci"): Descriptor => ({
  mediaType:
    family === "oci"
      ? "application/vnd.oci.image.config.v1+json"
      : "application/vnd.docker.container.image.v1+json",
  digest: of,
  size: 1,
});

test("rewriteManifest() keeps the bytes of a manifest whose parts stay", () => {
  const text = JSON.stringify({ layers: [layer(A)], config: config(B), schemaVersion: 2 });
  const bytes = encodeUtf8(text);
  const found = rewriteManifest(bytes, { config: config(B), layers: [layer(A)], family: "oci" });
  assert.equal(found.bytes, bytes);
  assert.equal(found.mediaType, "application/vnd.oci.image.manifest.v1+json");
});

test("rewriteManifest() moves a docker manifest into the oci family", () => {
  const old = {
    schemaVersion: 2,
    mediaType: "application/vnd.docker.distribution.manifest.v2+json",
    config: config(B, "docker"),
    layers: [{ ...layer(A), mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip" }],
    unknown: [1],
  };
  const found = rewriteManifest(encodeUtf8(JSON.stringify(old)), {
    config: config(C, "docker"),
    layers: [layer(C)],
    family: "oci",
  });
  assert.equal(
    decodeUtf8(found.bytes),
    JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config: config(C),
      layers: [layer(C)],
      unknown: [1],
    }),
  );
});

test("rewriteIndex() keeps the bytes of an index whose entries stay", () => {
  const bytes = encodeUtf8(
    JSON.stringify({
      schemaVersion: 2,
      manifests: [{ ...layer(A), mediaType: "application/x" }],
      annotations: { a: "b" },
    }),
  );
  const manifests = [{ ...layer(A), mediaType: "application/x" }];
  assert.equal(rewriteIndex(bytes, { manifests, family: "oci" }).bytes, bytes);
  const changed = rewriteIndex(bytes, { manifests: [], family: "oci" });
  assert.deepEqual(JSON.parse(decodeUtf8(changed.bytes)), {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.index.v1+json",
    manifests: [],
    annotations: { a: "b" },
  });
});

const attestation: Descriptor = {
  mediaType: "application/vnd.oci.image.manifest.v1+json",
  digest: C,
  size: 3,
  platform: { os: "unknown", architecture: "unknown" },
  annotations: {
    "vnd.docker.reference.digest": A,
    "vnd.docker.reference.type": "attestation-manifest",
    note: "n",
  },
};

test("retargetedEntry() lets an attestation follow its image", () => {
  assert.deepEqual(retargetedEntry(attestation, new Map([[A, B]])).annotations, {
    "vnd.docker.reference.digest": B,
    "vnd.docker.reference.type": "attestation-manifest",
    note: "n",
  });
  assert.equal(retargetedEntry(attestation, new Map([[B, C]])), attestation);
});

test("replacedEntry() keeps what the index says about an image", () => {
  const entry: Descriptor = {
    mediaType: "application/vnd.docker.distribution.manifest.v2+json",
    digest: A,
    size: 1,
    platform: { os: "linux", architecture: "arm64" },
    annotations: { note: "n" },
  };
  const content: Descriptor = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: B, size: 9 };
  assert.deepEqual(replacedEntry(entry, content), { ...entry, ...content });
});

test("isPlatformImage() tells images from attestations, artifacts and indexes", () => {
  const image: Descriptor = {
    ...attestation,
    annotations: {},
    platform: { os: "linux", architecture: "amd64" },
  };
  assert.equal(isPlatformImage(image), true);
  assert.equal(isPlatformImage({ ...image, platform: undefined }), true);
  assert.equal(isPlatformImage(attestation), false);
  assert.equal(isPlatformImage({ ...image, artifactType: "application/x" }), false);
  assert.equal(isPlatformImage({ ...image, mediaType: "application/vnd.oci.image.index.v1+json" }), false);
  assert.equal(isPlatformImage({ ...image, mediaType: "application/x-other" }), false);
});
