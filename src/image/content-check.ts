/**
 * Whether a file's bytes in the tar are those that the table of contents describes.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { Chunk, TocEntry } from "../estargz/index.ts";
import { algorithmOf, type Digest } from "../oci/index.ts";

/** Hashes one file's content by the chunks of its TOC entry. */
export class ContentCheck {
  readonly #entry: TocEntry;
  readonly #differences: string[] = [];
  /** Of the whole file, where that is not its only chunk's digest. */
  readonly #whole: { readonly digest: Digest; readonly hash: Hash } | undefined;
  #next = 0;
  #inChunk = 0;
  #hash: Hash | undefined;
  #nonZero = false;

  constructor(entry: TocEntry) {
    this.#entry = entry;
    const { digest, chunks } = entry;
    if (digest !== undefined && !(chunks.length === 1 && chunks[0]?.digest === digest)) {
      this.#whole = { digest, hash: createHash(algorithmOf(digest)) };
    }
  }

  /** The next bytes of the file. */
  push(bytes: Uint8Array): void {
    this.#whole?.hash.update(bytes);
    for (let at = 0; at < bytes.length;) {
      const chunk = this.#entry.chunks[this.#next];
      if (chunk === undefined) return;
      const part = bytes.subarray(at, at + chunk.size - this.#inChunk);
      this.#take(chunk, part);
      at += part.length;
    }
  }

  /** The differences, as clauses for people. */
  finish(): readonly string[] {
    if (this.#next < this.#entry.chunks.length) this.#differences.push("content is shorter in the tar");
    if (this.#whole !== undefined) {
      this.#compare("content", { digest: this.#whole.digest, hash: this.#whole.hash });
    }
    return this.#differences;
  }

  #take(chunk: Chunk, part: Uint8Array): void {
    const { digest } = chunk;
    if (digest !== undefined) (this.#hash ??= createHash(algorithmOf(digest))).update(part);
    if (chunk.kind === "zeros") this.#nonZero ||= part.some((byte) => byte !== 0);
    this.#inChunk += part.length;
    if (this.#inChunk < chunk.size) return;
    if (this.#nonZero) this.#differences.push(`content at ${chunk.fileOffset} is no hole in the tar`);
    if (digest !== undefined && this.#hash !== undefined) {
      this.#compare(`content at ${chunk.fileOffset}`, { digest, hash: this.#hash });
    }
    this.#next += 1;
    this.#inChunk = 0;
    this.#hash = undefined;
    this.#nonZero = false;
  }

  #compare(what: string, { digest, hash }: { readonly digest: Digest; readonly hash: Hash }): void {
    const found = `${algorithmOf(digest)}:${hash.digest("hex")}`;
    if (found !== digest)
      this.#differences.push(`${what} has digest ${found} in the tar, ${digest} in the TOC`);
  }
}
