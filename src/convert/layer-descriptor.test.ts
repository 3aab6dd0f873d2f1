import assert from "node:assert/strict";
import { test } from "node:test";
import type { Descriptor, Digest } from "../oci/index.ts";
import { convertedDescriptor, passedDescriptor } from "./layer-descriptor.ts";

const OLD: Digest = `sha256:${"a".repeat(64)}`;
const NEW: Digest = `sha256:${"b".repeat(64)}`;

test("convertedDescriptor() removes what was said about the old blob and keeps the rest", () => {
  const old = {
    mediaType: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    digest: OLD,
    size: 10,
    data: "AAAA",
    unknown: { kept: true },
    annotations: {
      "org.example.note": "stays",
      "containerd.io/snapshot/stargz/toc.digest": OLD,
      "io.containers.estargz.uncompressed-size": "1",
      "io.containers.zstd-chunked.manifest-checksum": "x",
      "io.containers.zstd-chunked.manifest-position": "x",
      "io.github.containers.zstd-chunked.manifest-checksum": "x",
      "io.github.containers.zstd-chunked.manifest-position": "x",
      "io.github.containers.zstd-chunked.tarsplit-position": "x",
      "io.github.containers.zstd-chunked.tarsplit-checksum": "x",
    },
  };
  const written = { digest: NEW, size: 20, compression: "gzip", annotations: { "a.b/c": "new" } } as const;
  assert.deepEqual(convertedDescriptor(old, written, { family: "oci" }), {
    mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
    digest: NEW,
    size: 20,
    unknown: { kept: true },
    annotations: { "org.example.note": "stays", "a.b/c": "new" },
  });
});

test("convertedDescriptor() has no annotations where there is nothing to say", () => {
  const old: Descriptor = {
    mediaType: "application/vnd.oci.image.layer.v1.tar",
    digest: OLD,
    size: 1,
    annotations: null,
  };
  const written = { digest: NEW, size: 2, compression: "zstd", annotations: {} } as const;
  assert.deepEqual(convertedDescriptor(old, written, { family: "oci" }), {
    mediaType: "application/vnd.oci.image.layer.v1.tar+zstd",
    digest: NEW,
    size: 2,
  });
});

test("passedDescriptor() changes nothing but the family of the media type", () => {
  const types: readonly (readonly [string, string])[] = [
    ["application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"],
    [
      "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
      "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ],
    ["application/wasm", "application/wasm"],
  ];
  for (const [mediaType, oci] of types) {
    const old: Descriptor = { mediaType, digest: OLD, size: 1, annotations: { a: "b" } };
    assert.deepEqual(passedDescriptor(old, { family: "oci" }), { ...old, mediaType: oci });
  }
  const same: Descriptor = { mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", digest: OLD, size: 1 };
  assert.equal(passedDescriptor(same, { family: "oci" }), same);
});
