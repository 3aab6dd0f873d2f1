/**
 * What fetching tells: events, statistics, reports.
 *
 * @module
 */
import type { ErrorCode } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { WaitingRange } from "./range-fetcher.ts";

/** Why bytes are asked for, the most urgent first. */
export type FetchPriority = "demand" | "readahead" | "prefetch" | "pull" | "background";

/** Something worth a log line or a count. */
export type FetchEvent =
  /** Bytes that came are not what the chunk's digest says; they were thrown away. */
  | {
      readonly kind: "verification-failed";
      readonly layer: Digest;
      readonly chunk: number;
      /** Where the chunk belongs on the data device. */
      readonly place: number;
      readonly fromDisk: boolean;
      readonly message: string;
    }
  | {
      readonly kind: "fetch-failed";
      readonly layer: Digest;
      readonly code: ErrorCode | "UNKNOWN";
      readonly message: string;
      readonly willRetry: boolean;
    }
  /** Bytes are served from memory until there is room again. Told once for each layer. */
  | { readonly kind: "disk-full"; readonly layer: Digest }
  /** One request has ended. */
  | {
      readonly kind: "fetched";
      readonly layer: Digest;
      readonly bytes: number;
      readonly ms: number;
      readonly priority: FetchPriority;
    }
  /** A slow connection got a second one beside it. */
  | { readonly kind: "hedged"; readonly layer: Digest };

/** Totals since the start. Bytes are those of blobs, unless it says otherwise. */
export interface FetchStatistics {
  readonly fetchedBytes: number;
  readonly requests: number;
  /** Reads that came to the fetcher, present or not. */
  readonly demandReads: number;
  /** Bytes of the data device that they asked for. */
  readonly demandBytes: number;
  /** Reads that waited ... */
  readonly stalls: number;
  /** ... and for how long in all. */
  readonly stallMs: number;
  readonly verificationFailures: number;
  readonly hedged: number;
  readonly retries: number;
  readonly copiedChunks: number;
  /** Bytes of chunks that came before somebody read them ... */
  readonly prefetchedBytes: number;
  /** ... and those of them that were read later, as far as this is seen. */
  readonly prefetchUsedBytes: number;
  /** Worker threads that live now. */
  readonly workers: number;
  readonly queueLengths: {
    /** Requests under way. */
    readonly transfers: number;
    /** Batches that wait for a worker. */
    readonly jobs: number;
    /** Reads that wait. */
    readonly reads: number;
  };
}

/** What is known of one layer. */
export interface LayerStatistics {
  readonly fetchedBytes: number;
  readonly waiting: readonly WaitingRange[];
}

/** What a prefetch brought. */
export interface PrefetchReport {
  /** Bytes of the blob. */
  readonly bytes: number;
  readonly chunks: number;
}

/** How far a fill is. Bytes of blobs. */
export interface FillProgress {
  readonly fetchedBytes: number;
  /** Those included. It shrinks when reads bring some of them. */
  readonly totalBytes: number;
}

/** What a fill did. */
export interface FillReport {
  /** Bytes of blobs. */
  readonly fetchedBytes: number;
  /** Bytes of chunks that other layers had. */
  readonly copiedBytes: number;
  /** Bytes of chunks that were there. */
  readonly presentBytes: number;
  readonly requests: number;
  readonly hedged: number;
  readonly ms: number;
}
