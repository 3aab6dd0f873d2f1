/**
 * How much a foreign archive may ask of this process.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** Bounds on what a table of contents may say and on what reading it may cost. */
export interface EstargzLimits {
  /** Bytes of the TOC JSON, and of the compressed TOC. */
  readonly maxTocBytes: number;
  /** Entries in the TOC, `chunk` entries included. */
  readonly maxEntries: number;
  /** Bytes of a cleaned path. */
  readonly maxPathBytes: number;
  /** Bytes of one path component (NAME_MAX of Linux). */
  readonly maxNameBytes: number;
  /** Components of a path. */
  readonly maxDepth: number;
  /** Uncompressed bytes of one stored chunk. Holes (`zeros` chunks) hold no bytes and are not bounded. */
  readonly maxChunkSize: number;
  /** Uncompressed bytes that must be inflated from the start of a member to reach the end of a chunk. */
  readonly maxMemberSize: number;
  /** Uncompressed bytes per compressed byte. For gzip, deflate's own bound of 1032 is applied as well. */
  readonly maxInflateRatio: number;
}

/** The limits that hold where none are given. */
export const DEFAULT_LIMITS: EstargzLimits = {
  maxTocBytes: 150 * 1024 * 1024,
  maxEntries: 1_000_000,
  maxPathBytes: 4096,
  maxNameBytes: 255,
  maxDepth: 1024,
  maxChunkSize: 64 * 1024 * 1024,
  maxMemberSize: 128 * 1024 * 1024,
  maxInflateRatio: 33_000,
};

/** The error for a limit that was passed. */
export function limitExceeded(what: string, limit: number, found: number | string): EsgzError {
  return new EsgzError("LIMIT_EXCEEDED", `Cannot read ${what}: expected at most ${limit}, got ${found}`, {
    details: { limit, found },
  });
}
