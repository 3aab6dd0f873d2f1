/**
 * Hashing bytes as they pass.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { type Digest, type DigestAlgorithm, parseDigest } from "../oci/index.ts";

/** Counts and hashes a stream on its way; one use. */
export class HashedStream {
  readonly #algorithm: DigestAlgorithm;
  readonly #hash: Hash;
  #size = 0;
  #digest: Digest | undefined;

  constructor(algorithm: DigestAlgorithm = "sha256") {
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  /** The bytes that passed so far. */
  get size(): number {
    return this.#size;
  }

  /** The digest of what passed; call it when the stream has ended. */
  get digest(): Digest {
    this.#digest ??= parseDigest(`${this.#algorithm}:${this.#hash.digest("hex")}`);
    return this.#digest;
  }

  /** Takes one piece. */
  update(piece: Uint8Array): void {
    this.#hash.update(piece);
    this.#size += piece.length;
  }

  /** The same pieces, hashed before each is handed on. */
  async *pass(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of pieces) {
      this.update(piece);
      yield piece;
    }
  }
}
