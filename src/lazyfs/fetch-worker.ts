/**
 * The program of a worker thread: inflates, verifies, writes. It has no network and makes no plans.
 *
 * @module
 */
import { hash } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { equalBytes } from "../bytes/index.ts";
import { EsgzError, ioCodeOf, isEsgzError } from "../errors/index.ts";
import { inflateMember } from "../estargz/index.ts";
import { writeChunkSync } from "../store/index.ts";
import { serveJobs } from "../workers/index.ts";
import {
  type JobChunk,
  type MemberFailure,
  type UnwrittenChunk,
  unpackChunk,
  type WriteJob,
  type WriteMember,
  type WriteResult,
} from "./write-job.ts";

/** One job under way. */
class JobRun {
  readonly failures: MemberFailure[] = [];
  readonly unwritten: UnwrittenChunk[] = [];
  full = false;
  readonly #job: WriteJob;
  readonly #bytes: Uint8Array;
  readonly #fd: number | undefined;

  constructor(job: WriteJob, fd: number | undefined) {
    this.#job = job;
    this.#fd = fd;
    this.#bytes = new Uint8Array(job.buffer);
  }

  run(): WriteResult {
    let chunk = 0;
    for (const [index, member] of this.#job.members.entries()) {
      this.#runMember(index, { member, firstChunk: chunk });
      chunk += member.chunks;
    }
    return { failures: this.failures, unwritten: this.unwritten, full: this.full };
  }

  #runMember(
    index: number,
    { member, firstChunk }: { readonly member: WriteMember; readonly firstChunk: number },
  ): void {
    let current = unpackChunk(this.#job, firstChunk);
    let content: Uint8Array | undefined;
    try {
      content = this.#inflate(member);
      for (let at = firstChunk; at < firstChunk + member.chunks; at += 1) {
        current = unpackChunk(this.#job, at);
        this.#takeChunk(index, { ...current, bytes: sliceOf(content, current) });
      }
    } catch (error) {
      if (!isEsgzError(error)) throw error;
      const { code, message } = error;
      this.failures.push({ member: index, chunk: current.chunk, code, message });
    } finally {
      if (content !== undefined) freeNow(content);
    }
  }

  #inflate({ offset, size, need }: WriteMember): Uint8Array {
    const compressed = this.#bytes.subarray(offset, offset + size);
    const { compression } = this.#job;
    // Copied: what is freed afterwards must not be the buffer.
    return compression === "none"
      ? compressed.slice(0, need)
      : inflateMember(compressed, { compression, size: need });
  }

  #takeChunk(member: number, { chunk, slot, bytes }: JobChunk & { readonly bytes: Uint8Array }): void {
    if (this.#fd !== undefined && !this.full) {
      try {
        writeChunkSync(this.#fd, slot, bytes);
        return;
      } catch (error) {
        if (ioCodeOf(error) !== "NO_SPACE") throw error;
        // Verified: that comes before the write.
        this.full = true;
      }
    } else if (!equalBytes(hash("sha256", bytes, "buffer"), slot.digest)) {
      throw new EsgzError(
        "DIGEST_MISMATCH",
        `Cannot verify chunk ${chunk}: expected its digest, got another`,
      );
    }
    this.unwritten.push({ member, chunk, ...(this.#job.keep ? { bytes: Uint8Array.from(bytes) } : {}) });
  }
}

function sliceOf(content: Uint8Array, { innerOffset, slot }: JobChunk): Uint8Array {
  return content.subarray(innerOffset, innerOffset + slot.size);
}

/**
 * Frees what a member was inflated to. The collector would come by much later: to it, memory outside the heap weighs
 * little. Small arrays may be slices of node's pool and stay.
 */
function freeNow({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}

/** The file is opened for each job: nothing keeps a layer's files open that is given up. */
function runJob(job: WriteJob): WriteResult {
  if (!job.write) return new JobRun(job, undefined).run();
  const fd = openSync(job.dataPath, "r+");
  try {
    return new JobRun(job, fd).run();
  } finally {
    closeSync(fd);
  }
}

serveJobs((_start: undefined) => runJob, {
  action: "write chunks",
  transferOf: ({ unwritten }: WriteResult) =>
    unwritten.flatMap(({ bytes }) => (bytes === undefined ? [] : [bytes.buffer])),
});
