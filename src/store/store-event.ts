/**
 * What a store tells whoever keeps metrics and logs.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";

/** Why a layer's record cannot be believed: the last session did not end, somebody has written since, it is no record. */
export type LayerDoubt = "unclean" | "touched" | "damaged";

/** Something worth counting. */
export type StoreEvent =
  /** A layer's record cannot be believed: its chunks are verified before they count. */
  | {
      readonly kind: "layer-untrusted";
      readonly layer: Digest;
      readonly reason: LayerDoubt;
    }
  /** A chunk that was recorded as there does not match its digest; it counts as missing. */
  | { readonly kind: "chunk-rejected"; readonly layer: Digest; readonly index: number }
  /** A chunk was copied from another place in the store. */
  | { readonly kind: "chunk-copied"; readonly layer: Digest; readonly index: number; readonly from: Digest }
  /** A layer's data (`emptied`) or the whole layer (`dropped`) was given up for room. */
  | {
      readonly kind: "layer-evicted";
      readonly layer: Digest;
      readonly how: "emptied" | "dropped";
      readonly bytes: number;
    }
  /** A small blob does not match its digest; it was deleted. */
  | { readonly kind: "content-rejected"; readonly digest: Digest };

/** Takes events as they happen. It must not throw. */
export type StoreObserver = (event: StoreEvent) => void;
