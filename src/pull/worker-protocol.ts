/**
 * What the main thread and the workers of a pull say to each other.
 *
 * @module
 */
import type { FetchTable } from "./fetch-table.ts";
import type { FileTable } from "./file-table.ts";
import type { Omission } from "./omissions.ts";
import type { DirectoryNode, HardLinkNode, SpecialNode, SymlinkNode } from "./root-nodes.ts";
import type { StagedMove } from "./place-staged.ts";
import type { StagePlace } from "./stage-layer.ts";

/** What a worker is started with. */
export interface WorkerStart {
  /** The directory that the image is written to. */
  readonly directory: string;
}

/** One thing for a worker to do. Jobs of one worker are done in the order of their arrival. */
export type WorkerJob =
  | { readonly kind: "files"; readonly table: FileTable }
  | { readonly kind: "fetch"; readonly table: FetchTable }
  | {
      readonly kind: "scan" | "create-dataless" | "create-shared" | "finish-shared";
      readonly files: Uint32Array;
    }
  | {
      readonly kind: "write";
      readonly buffer: SharedArrayBuffer;
      /** Where the buffer begins in the blob. */
      readonly blobOffset: number;
      readonly compression: "gzip" | "zstd";
      readonly from: number;
      readonly to: number;
    }
  | { readonly kind: "symlinks"; readonly nodes: readonly SymlinkNode[] }
  | { readonly kind: "specials"; readonly nodes: readonly SpecialNode[] }
  | { readonly kind: "links"; readonly nodes: readonly HardLinkNode[] }
  | { readonly kind: "directories"; readonly nodes: readonly DirectoryNode[] }
  | { readonly kind: "stage-open"; readonly stage: number; readonly place: StagePlace }
  | { readonly kind: "stage-push"; readonly stage: number; readonly bytes: Uint8Array }
  | { readonly kind: "stage-finish"; readonly stage: number }
  | { readonly kind: "place"; readonly moves: readonly StagedMove[] }
  | { readonly kind: "omissions" };

/** What a job results in, where it has a result. */
export interface JobResult {
  /** Of `specials`: the paths that could not be made. */
  readonly missing?: readonly string[];
  /** Of `omissions`: what the worker counted so far. */
  readonly omissions?: readonly Omission[];
}
