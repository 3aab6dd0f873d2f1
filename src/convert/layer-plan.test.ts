import assert from "node:assert/strict";
import { test } from "node:test";
import type { Descriptor } from "../oci/index.ts";
import { type LayerFacts, planByContent, planByDescriptor, type PlanSettings } from "./layer-plan.ts";

const GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";

function layer(mediaType: string, urls?: readonly string[]): Descriptor {
  return { mediaType, digest: `sha256:${"a".repeat(64)}`, size: 10, ...(urls === undefined ? {} : { urls }) };
}

function settings(changes: Partial<PlanSettings> = {}): PlanSettings {
  const plain = { force: false, externalToc: false, seekable: true, zstdDialect: undefined };
  return { format: "estargz", ...plain, ...changes };
}

const gzip = settings({ format: "gzip", seekable: false });

test("planByDescriptor() leaves foreign layers at their URLs, even when forced", () => {
  const foreign = layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", [
    "https://example.com/x",
  ]);
  assert.equal(planByDescriptor(foreign, settings({ force: true }))?.kind, "leave-in-place");
  assert.equal(planByDescriptor(layer(GZIP, ["https://example.com/x"]), settings())?.kind, "leave-in-place");
});

test("planByDescriptor() copies nondistributable layers without URLs", () => {
  const sealed = layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
  assert.equal(planByDescriptor(sealed, gzip)?.kind, "pass-through");
});

test("planByDescriptor() passes what is no layer", () => {
  assert.deepEqual(planByDescriptor(layer("application/wasm"), settings({ force: true })), {
    kind: "pass-through",
    reason: "not a layer: media type application/wasm",
  });
});

test("planByDescriptor() decides for plain formats by the stated compression", () => {
  assert.equal(planByDescriptor(layer(GZIP), gzip)?.kind, "pass-through");
  assert.equal(planByDescriptor(layer(GZIP), { ...gzip, force: true })?.kind, "convert");
  assert.deepEqual(planByDescriptor(layer("application/vnd.oci.image.layer.v1.tar+zstd"), gzip), {
    kind: "convert",
    reason: "was zstd",
  });
});

test("planByDescriptor() leaves the decision to the content for seekable formats, unless forced", () => {
  assert.equal(planByDescriptor(layer(GZIP), settings()), undefined);
  assert.equal(planByDescriptor(layer(GZIP), settings({ force: true }))?.kind, "convert");
});

const estargz: LayerFacts = { kind: "seekable", format: "estargz" };

test("planByContent() passes a proven layer of the wanted format", () => {
  assert.deepEqual(planByContent(estargz, settings()), { kind: "pass-through", reason: "already eStargz" });
  const zstd: LayerFacts = { kind: "seekable", format: "zstd:chunked" };
  assert.deepEqual(planByContent(zstd, settings({ format: "zstd:chunked" })), {
    kind: "pass-through",
    reason: "already zstd:chunked",
  });
});

test("planByContent() converts from one dialect of zstd:chunked to the other only when asked", () => {
  const found: LayerFacts = { kind: "seekable", format: "zstd:chunked", zstdDialect: "stargz" };
  const plan = (zstdDialect: PlanSettings["zstdDialect"]) =>
    planByContent(found, settings({ format: "zstd:chunked", zstdDialect })).kind;
  assert.deepEqual(
    [plan(undefined), plan("stargz"), plan("containers")],
    ["pass-through", "pass-through", "convert"],
  );
});

test("planByContent() converts everything else and says why", () => {
  const cases: readonly (readonly [LayerFacts, PlanSettings, string])[] = [
    [{ kind: "opaque", reason: "it is red" }, settings(), "not eStargz: it is red"],
    [{ kind: "seekable", format: "stargz" }, settings(), "was stargz"],
    [estargz, settings({ format: "zstd:chunked" }), "was estargz"],
    [{ kind: "external" }, settings(), "its table of contents lies in another image and is made anew"],
    [
      estargz,
      settings({ externalToc: true }),
      "its table of contents lies inside and moves to the TOC image",
    ],
  ];
  for (const [facts, wanted, reason] of cases) {
    assert.deepEqual(planByContent(facts, wanted), { kind: "convert", reason });
  }
});
