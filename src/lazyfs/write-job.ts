/**
 * What a worker is told to inflate, verify and write.
 *
 * ```text
 * numbers   5 of each chunk: index, place, size, padding, inner offset
 * digests   32 bytes of each chunk
 * ```
 *
 * @module
 */
import type { ErrorCode } from "../errors/index.ts";
import type { ChunkSlot, Layer, LayerSource } from "../store/index.ts";

/** Numbers of a chunk in {@link WriteJob.numbers}. */
const NUMBERS = 5;
const DIGEST_SIZE = 32;

/** A member in the buffer of a {@link WriteJob}. */
export interface WriteMember {
  /** Where it begins in the buffer. */
  readonly offset: number;
  readonly size: number;
  /** Inflated bytes needed. */
  readonly need: number;
  /** How many of the job's chunks are its. */
  readonly chunks: number;
}

/** Members for one worker. */
export interface WriteJob {
  readonly dataPath: string;
  readonly buffer: SharedArrayBuffer;
  readonly compression: LayerSource["compression"];
  /** Whether to write to the data file; else chunks are only verified. */
  readonly write: boolean;
  /** Whether chunks that were not written come back. */
  readonly keep: boolean;
  readonly members: readonly WriteMember[];
  readonly numbers: Float64Array<ArrayBuffer>;
  readonly digests: Uint8Array<ArrayBuffer>;
}

/** What a worker did. Members that are not named were written. */
export interface WriteResult {
  /** Members with bytes that are not what they should be. None of these bytes were written. */
  readonly failures: readonly MemberFailure[];
  /** Verified chunks that were not written: the disk is full, or the job said so. */
  readonly unwritten: readonly UnwrittenChunk[];
  /** Whether the disk was found to be full. */
  readonly full: boolean;
}

/** A member that cannot be believed. */
export interface MemberFailure {
  /** Its number in the job. */
  readonly member: number;
  /** The chunk that failed. */
  readonly chunk: number;
  readonly code: ErrorCode;
  readonly message: string;
}

/** A verified chunk that is not on the disk. */
export interface UnwrittenChunk {
  /** The number of its member in the job. */
  readonly member: number;
  readonly chunk: number;
  /** Its bytes, where the job keeps them. */
  readonly bytes?: Uint8Array<ArrayBuffer>;
}

/** A chunk of a job. */
export interface JobChunk {
  readonly chunk: number;
  readonly slot: ChunkSlot;
  readonly innerOffset: number;
}

/** Chunks as a job has them, and the bytes that they take on the disk. */
export interface PackedChunks extends Pick<WriteJob, "numbers" | "digests"> {
  readonly bytes: number;
}

/** Packs chunks of a layer. */
export function packChunks(layer: Layer, chunks: readonly number[]): PackedChunks {
  const numbers = new Float64Array(chunks.length * NUMBERS);
  const digests = new Uint8Array(chunks.length * DIGEST_SIZE);
  let bytes = 0;
  for (const [at, chunk] of chunks.entries()) {
    const { place, size, padding, digest } = layer.slot(chunk);
    numbers.set([chunk, place, size, padding, layer.chunk(chunk).innerOffset], at * NUMBERS);
    digests.set(digest, at * DIGEST_SIZE);
    bytes += size + padding;
  }
  return { numbers, digests, bytes };
}

/** The chunk at a position of a job. */
export function unpackChunk(job: Pick<WriteJob, "numbers" | "digests">, at: number): JobChunk {
  const [chunk = 0, place = 0, size = 0, padding = 0, innerOffset = 0] = job.numbers.subarray(
    at * NUMBERS,
    (at + 1) * NUMBERS,
  );
  const digest = job.digests.subarray(at * DIGEST_SIZE, (at + 1) * DIGEST_SIZE);
  return { chunk, slot: { place, size, padding, digest }, innerOffset };
}
