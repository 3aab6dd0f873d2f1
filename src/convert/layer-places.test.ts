import assert from "node:assert/strict";
import { test } from "node:test";
import { ANNOTATIONS, type Descriptor, MEDIA_TYPES } from "../oci/index.ts";
import { withPlacesAbove } from "./layer-places.ts";

function layer(size: number, place?: string): Descriptor {
  const digest = `sha256:${String(size).padStart(64, "0")}` as const;
  const annotations = place === undefined ? undefined : { other: "kept", [ANNOTATIONS.tocPlaces]: place };
  return { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size, ...(annotations && { annotations }) };
}

function placesOf(layers: readonly Descriptor[]): readonly (string | undefined)[] {
  return layers.map(({ annotations }) => annotations?.[ANNOTATIONS.tocPlaces]);
}

test("withPlacesAbove() has each layer tell of those above it, up to one that says nothing", () => {
  const layers = [layer(1, "1/10"), layer(2, "2/20"), layer(3), layer(4, "4/40"), layer(5, "5/50")];
  const told = withPlacesAbove(layers);
  assert.deepEqual(placesOf(told), ["1/10,2/20", "2/20", undefined, "4/40,5/50", "5/50"]);
  assert.equal(told[0]?.annotations?.["other"], "kept");
  assert.equal(told[2], layers[2]);
});

test("withPlacesAbove() replaces what a layer said in another image", () => {
  const [base, top] = [layer(1, "1/10,7/70,8/80"), layer(2, "2/20")];
  assert.deepEqual(placesOf(withPlacesAbove([base, top])), ["1/10,2/20", "2/20"]);
  assert.deepEqual(placesOf(withPlacesAbove([base])), ["1/10"]);
});
