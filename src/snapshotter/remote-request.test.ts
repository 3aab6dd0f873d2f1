import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRemoteRequest } from "./remote-request.ts";

const digest = (digit: string): string => `sha256:${digit.repeat(64)}`;
const KEY = "containerd.io/snapshot/";
const stargz = {
  [`${KEY}remote/stargz.reference`]: `127.0.0.1:5000/base:esgz@${digest("a")}`,
  [`${KEY}remote/stargz.digest`]: digest("1"),
  [`${KEY}remote/stargz.layers`]: `${digest("1")},${digest("2")},sha256:cut`,
};
const cri = {
  [`${KEY}cri.image-ref`]: "registry.test/cri:1",
  [`${KEY}cri.layer-digest`]: digest("3"),
  [`${KEY}cri.image-layers`]: digest("4"),
  [`${KEY}cri.manifest-digest`]: digest("b"),
};
const toc = { [`${KEY}stargz/toc.digest`]: digest("c") };
const skip = { [`${KEY}remote/stargz.skipverify`]: "true" };

test("labels of the default source: the manifest is in the reference, a cut digest is left out", () => {
  const labels = { ...stargz, ...toc };
  assert.deepEqual(parseRemoteRequest(labels, {}), {
    request: {
      reference: `127.0.0.1:5000/base:esgz@${digest("a")}`,
      digest: digest("1"),
      tocDigest: digest("c"),
      tocPlaces: new Map(),
      manifest: digest("a"),
      imageLayers: [digest("1"), digest("2")],
      skipVerify: false,
      labels,
    },
  });
});

test("labels of the CRI come first, if they name image and layer", () => {
  const both = parseRemoteRequest({ ...stargz, ...cri }, {});
  assert.ok("request" in both);
  assert.equal(both.request.reference, "registry.test/cri:1");
  assert.equal(both.request.manifest, digest("b"));
  assert.deepEqual(both.request.imageLayers, [digest("3"), digest("4")]);
  // As BuildKit sends them.
  const mixed = parseRemoteRequest({ ...stargz, [`${KEY}cri.image-ref`]: "registry.test/cri:1" }, {});
  assert.ok("request" in mixed);
  assert.equal(mixed.request.digest, digest("1"));
});

test("places of tables belong to this layer and those behind it in the list", () => {
  const placesIn = (labels: Record<string, string>, places: string): [string, number, number][] => {
    const parsed = parseRemoteRequest({ ...labels, [`${KEY}esgz/toc.places`]: places }, {});
    assert.ok("request" in parsed);
    return [...parsed.request.tocPlaces].map(([of, { offset, blobSize }]) => [of, offset, blobSize]);
  };
  const [first, second] = [digest("1"), digest("2")];
  assert.deepEqual(placesIn(stargz, "5/50,6/60,7/70"), [
    [first, 5, 50],
    [second, 6, 60],
  ]);
  assert.deepEqual(placesIn(stargz, "5/50"), [[first, 5, 50]]);
  const behind = { ...stargz, [`${KEY}remote/stargz.layers`]: `${digest("0")},${first},${second}` };
  assert.deepEqual(placesIn(behind, "5/50,6/60"), [
    [first, 5, 50],
    [second, 6, 60],
  ]);
  assert.deepEqual(placesIn(cri, "5/50,6/60"), [
    [digest("3"), 5, 50],
    [digest("4"), 6, 60],
  ]);
  assert.deepEqual(placesIn(stargz, "50/5,6/60"), []);
});

test("an empty TOC digest is none; a wrong one is a reason", () => {
  const empty = parseRemoteRequest({ ...stargz, [`${KEY}stargz/toc.digest`]: "" }, {});
  assert.ok("request" in empty);
  assert.equal(empty.request.tocDigest, undefined);
  assert.ok("reason" in parseRemoteRequest({ ...stargz, [`${KEY}stargz/toc.digest`]: "sha256:x" }, {}));
  assert.ok(
    "reason" in
      parseRemoteRequest({ ...stargz, [`${KEY}remote/stargz.reference`]: "registry.test/UPPER" }, {}),
  );
  assert.ok("reason" in parseRemoteRequest({}, {}));
});

test("verification is skipped only where the policy and the client say so, or the policy alone says never", () => {
  const skips = (labels: Record<string, string>, policy: object): boolean => {
    const parsed = parseRemoteRequest({ ...stargz, ...labels }, policy);
    assert.ok("request" in parsed);
    return parsed.request.skipVerify;
  };
  assert.equal(skips(skip, {}), false);
  assert.equal(skips({}, { allowSkipping: true }), false);
  assert.equal(skips(skip, { allowSkipping: true }), true);
  // What can be verified is.
  assert.equal(skips({ ...skip, ...toc }, { allowSkipping: true }), false);
  assert.equal(skips(toc, { disabled: true }), true);
});
