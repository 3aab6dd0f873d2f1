import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  imageName,
  imageNode,
  layerNode,
  parseImageDirectory,
  parseLayerDirectory,
  partOf,
} from "./layer-store-nodes.ts";

const DIGEST = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" as const;

test("parseImageDirectory() reads what base64 of coreutils writes", () => {
  assert.equal(
    parseImageDirectory("ZG9ja2VyLmlvL2xpYnJhcnkvYWxwaW5lOmxhdGVzdA=="),
    "docker.io/library/alpine:latest",
  );
  assert.equal(imageName("docker.io/library/alpine:latest"), "ZG9ja2VyLmlvL2xpYnJhcnkvYWxwaW5lOmxhdGVzdA==");
});

test("parseImageDirectory() knows no other names", () => {
  for (const name of ["", ".Trash", "ZG9ja2Vy-w", "ZG9ja2Vy=", "ZG9j a2Vy", "/w=="])
    assert.equal(parseImageDirectory(name), undefined, name);
  fc.assert(
    fc.property(fc.string(), (name) => {
      const reference = parseImageDirectory(name);
      assert.ok(reference === undefined || imageName(reference) === name);
    }),
  );
});

test("parseLayerDirectory() takes digests only", () => {
  assert.equal(parseLayerDirectory(DIGEST), DIGEST);
  assert.equal(parseLayerDirectory("sha256:e3b0"), undefined);
  assert.equal(parseLayerDirectory("use"), undefined);
});

test("nodes differ, are safe numbers, and tell the part they stand for", () => {
  const layer = { reference: "docker.io/library/alpine:latest", digest: DIGEST };
  const parts = ["directory", "diff", "info", "blob"] as const;
  const nodes = parts.map((part) => layerNode(layer, part));
  assert.deepEqual(nodes.map(partOf), [...parts]);
  assert.equal(partOf(imageNode(layer.reference)), undefined);
  assert.equal(new Set([...nodes, imageNode(layer.reference), 1, 2]).size, 7);
  assert.ok(nodes.every((node) => Number.isSafeInteger(node) && node > 16));
});

test("nodes are the same on every day", () => {
  // The first 44 bits of what sha256sum says of "a".
  assert.equal(imageNode("a"), 16 + 8 * 0xca978112ca1);
});
