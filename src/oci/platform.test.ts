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

test("parsePlatform() refuses text that is none, and a word alone that names no architecture", () => {
  for (const text of [
    "",
    "linux/",
    "a/b/c/d",
    "linux/../x",
    "garbage",
    "linux",
    "linux amd64",
    "windows(/amd64",
    "windows()/amd64",
    "linux/amd64(1)",
    "(1)/amd64",
  ]) {
    assert.throws(() => parsePlatform(text), { code: "USAGE_INVALID" }, text);
  }
});

test("parsePlatform() takes unknown words in their places, and the version of a system", () => {
  assert.deepEqual(parsePlatform("plan9/quantum/v3"), {
    os: "plan9",
    architecture: "quantum",
    variant: "v3",
  });
  const windows = { os: "windows", "os.version": "10.0.17763.1", architecture: "amd64" };
  assert.deepEqual(parsePlatform("Windows(10.0.17763.1)/x86_64"), windows);
  assert.equal(formatPlatform(windows), "windows(10.0.17763.1)/amd64");
});

test("selectPlatform() takes only the version of a system that is asked for", () => {
  const older = { ...entry("windows/amd64", "6"), platform: parsePlatform("windows(10.0.1)/amd64") };
  const newer = { ...entry("windows/amd64", "7"), platform: parsePlatform("windows(10.0.2)/amd64") };
  assert.equal(selectPlatform([older, newer], parsePlatform("windows(10.0.2)/amd64")).digest, newer.digest);
  assert.throws(() => selectPlatform([older], parsePlatform("windows(10.0.2)/amd64")), {
    code: "PLATFORM_NOT_FOUND",
  });
});

test("formatPlatform() leaves out the variants that every machine of the kind has", () => {
  assert.equal(formatPlatform({ os: "linux", architecture: "arm64", variant: "v8" }), "linux/arm64");
});
