/**
 * What a pull says while it runs, and when it is done.
 *
 * @module
 */
import type { Digest, Platform } from "../oci/index.ts";
import type { Omission } from "./omissions.ts";

/** A layer as a pull treats it. */
export interface LayerNotice {
  readonly index: number;
  readonly digest: Digest;
  /** Compressed bytes. */
  readonly size: number;
  /** `ranges`: it has an index, and only what is wanted of it travels; `whole`: it travels whole. */
  readonly way: "ranges" | "whole";
  /** Why a layer travels whole. */
  readonly reason?: string;
}

/** How far a layer is. */
export interface LayerProgress {
  readonly index: number;
  readonly digest: Digest;
  /** Compressed bytes to be fetched. */
  readonly totalBytes: number;
  readonly fetchedBytes: number;
}

/** Something that happens during a pull. */
export type PullEvent =
  | { readonly kind: "resolved"; readonly digest: Digest; readonly layers: number }
  | {
      readonly kind: "index-loaded";
      /** Since the start of the pull. */
      readonly seconds: number;
      readonly layers: readonly LayerNotice[];
    }
  | {
      readonly kind: "progress";
      /** Compressed bytes to be fetched, as far as known. */
      readonly totalBytes: number;
      readonly fetchedBytes: number;
      /** 0 to 1. */
      readonly fraction: number;
      /** Over the last seconds. */
      readonly bytesPerSecond: number;
      /** Undefined while there is no rate to tell from. */
      readonly secondsLeft: number | undefined;
      readonly layers: readonly LayerProgress[];
    }
  | { readonly kind: "finishing" };

/** Seconds per phase. Phases of layers that travel whole count as transfer. */
export interface PullSeconds {
  /** Manifest and configuration. */
  readonly resolve: number;
  /** Tables of contents of all layers. */
  readonly index: number;
  /** Looking at what an earlier pull left, and deciding what to fetch. */
  readonly plan: number;
  /** From the first request for content to the last byte written. */
  readonly transfer: number;
  /** Links, devices, metadata of directories, the final name. */
  readonly finish: number;
  readonly total: number;
}

/** Bytes of a pull. Compressed unless said otherwise. */
export interface PullBytes {
  /** Of all layers' blobs. */
  readonly total: number;
  /** That came over the wire for layers, index phase and second requests included. */
  readonly fetched: number;
  /** Of blobs that were not needed: hidden files, repeated content, what was there already. */
  readonly skipped: number;
  /** Of files (uncompressed) or blobs (as they are) that an earlier pull had left and that were right. */
  readonly reused: number;
}

/** What became of a layer. */
export interface PulledLayer extends LayerNotice {
  readonly fetchedBytes: number;
  readonly skippedBytes: number;
  /** `not computed` where parts of the blob were not fetched; every chunk that was is verified all the same. */
  readonly blobDigest: "verified" | "not computed" | "reused";
}

/** The outcome of a pull. */
export interface PullReport {
  readonly source: string;
  readonly target: string;
  /** Of the image manifest that was pulled. */
  readonly digest: Digest;
  readonly platform: Platform | undefined;
  readonly seconds: PullSeconds;
  readonly bytes: PullBytes;
  /** Requests for ranges and blobs; manifests and repetitions inside the registry client are not among them. */
  readonly requests: number;
  /** Requests that were made a second time because the first was slow. */
  readonly hedged: number;
  /** Regular files in the root; 0 for other targets. */
  readonly files: number;
  readonly layers: readonly PulledLayer[];
  /** Whether an interrupted pull was continued. */
  readonly resumed: boolean;
  /** What could not be done here, counted. Empty if all was. */
  readonly omissions: readonly Omission[];
}
