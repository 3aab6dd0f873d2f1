import assert from "node:assert/strict";
import { test } from "node:test";
import type { Descriptor } from "./manifest.ts";
import { MEDIA_TYPES } from "./media-types.ts";
import { formatPlatform, parsePlatform, selectPlatform } from "./platform.ts";

function entry(text: string, fill: string): Descriptor {
  const [os = "", architecture = "", variant] = text.split("/");
  const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
  return { mediaType: MEDIA_TYPES.ociManifest, digest: `sha256:${fill.repeat(64)}`, size: 1, platform };
}

const ENTRIES = [
  entry("unknown/unknown", "0"),
  entry("linux/amd64", "1"),
  entry("linux/arm/v6", "2"),
  entry("linux/arm/v7", "3"),
  entry("linux/arm64/v8", "4"),
  entry("windows/amd64", "5"),
];

const CHOICES: Readonly<Record<string, string>> = {
  "linux/amd64": "1",
  amd64: "1",
  x86_64: "1",
  "linux/arm": "3",
  "linux/arm/v6": "2",
  "linux/arm/v8": "3",
  aarch64: "4",
  "linux/arm64": "4",
};

for (const [wanted, fill] of Object.entries(CHOICES)) {
  test(`selectPlatform() for ${wanted} takes entry ${fill}`, () => {
    assert.equal(selectPlatform(ENTRIES, parsePlatform(wanted)).digest, `sha256:${fill.repeat(64)}`);
  });
}

test("selectPlatform() never takes an attestation and names what there is", () => {
  assert.throws(() => selectPlatform(ENTRIES, parsePlatform("linux/s390x")), {
    code: "PLATFORM_NOT_FOUND",
    message: /linux\/arm\/v6/,
  });
});

test("parsePlatform() refuses text that is none", () => {
  for (const text of ["", "linux/", "a/b/c/d", "linux/../x"]) {
    assert.throws(() => parsePlatform(text), { code: "USAGE_INVALID" });
  }
});

test("formatPlatform() leaves out the variants that every machine of the kind has", () => {
  assert.equal(formatPlatform({ os: "linux", architecture: "arm64", variant: "v8" }), "linux/arm64");
});
