/**
 * What a conversion says while it runs and when it is done.
 *
 * @module
 */
import type { Descriptor, Digest } from "../oci/index.ts";

/** What became of a layer's content. */
export type LayerAction =
  /** It was read, and written anew. */
  | "converted"
  /** It is in the wanted format already and keeps its bytes. */
  | "passed-through"
  /** It stays at the URLs that its descriptor names (foreign layers). */
  | "left-in-place"
  /** The same layer was dealt with before, in this image or in another one of the index. */
  | "reused";

/** How a layer's bytes came to the destination. */
export type LayerTransfer = "uploaded" | "copied" | "mounted" | "present" | "none";

/** What was done with one layer. */
export interface LayerConversion {
  /** Counted from 0, the base layer. */
  readonly index: number;
  readonly action: LayerAction;
  readonly transfer: LayerTransfer;
  /** Why, in words. */
  readonly reason: string;
  readonly oldDigest: Digest;
  readonly newDigest: Digest;
  /** Compressed bytes before. */
  readonly oldSize: number;
  /** Compressed bytes after. */
  readonly newSize: number;
  /** `newSize / oldSize`; 1 for an empty blob. */
  readonly ratio: number;
  readonly oldDiffId: Digest;
  readonly newDiffId: Digest;
  /** The digest of the TOC JSON, for layers that were written with one. */
  readonly tocDigest?: Digest | undefined;
  readonly durationMs: number;
}

/** What was done with one image, or with another entry of an index. */
export interface ImageConversion {
  /** `converted` images have a report per layer; what was not understood is passed through byte for byte. */
  readonly action: "converted" | "passed-through";
  /** Why, in words. */
  readonly reason: string;
  /** `os/architecture[/variant]`, where the index or the config says so. */
  readonly platform?: string | undefined;
  readonly oldDigest: Digest;
  readonly newDigest: Digest;
  readonly layers: readonly LayerConversion[];
}

/** What `convertImage()` did. */
export interface ConvertReport {
  /** What the final name now points to. */
  readonly root: Descriptor;
  readonly images: readonly ImageConversion[];
  /** What the name of the TOC image points to, with an external TOC. */
  readonly tocImage?: { readonly name: string; readonly root: Descriptor } | undefined;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
  readonly durationMs: number;
}

/** The layer that an event is about. */
export interface LayerIdentity {
  readonly index: number;
  /** The digest that it has in the source. */
  readonly digest: Digest;
  /** Of the image, where it is known. */
  readonly platform?: string | undefined;
}

/** What `onProgress` is called with. */
export type ConvertEvent =
  | {
      readonly kind: "layer-started";
      readonly layer: LayerIdentity;
      readonly size: number;
      readonly reason: string;
    }
  | {
      readonly kind: "layer-progress";
      readonly layer: LayerIdentity;
      /** Bytes of the source blob read so far; the blob has `size`. */
      readonly bytesIn: number;
      readonly size: number;
      /** Bytes handed to the destination so far. */
      readonly bytesOut: number;
    }
  | { readonly kind: "layer-finished"; readonly layer: LayerIdentity; readonly report: LayerConversion };
