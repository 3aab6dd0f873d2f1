/**
 * A seekable layer whose table of contents has been found but not yet proven.
 *
 * @module
 */
import { hash } from "node:crypto";
import { NO_BYTES } from "../bytes/index.ts";
import { algorithmOf, digestMismatch, type Digest } from "../oci/index.ts";
import { Archive, type ArchiveFormat } from "./archive.ts";
import { decodeToc } from "./decode-toc.ts";
import type { Footer } from "./footer.ts";
import type { EstargzLimits } from "./limits.ts";
import { releaseBuffer } from "./release-bytes.ts";
import { resolveToc } from "./resolve-toc.ts";
import type { TocEntry } from "./toc-entry.ts";
import { invalidToc } from "./toc-fields.ts";

/** What opening a blob found. */
export interface FoundToc {
  readonly footer: Footer;
  /** The TOC's uncompressed bytes. */
  readonly json: Uint8Array;
  /** Whether the buffer of `json` holds nothing else that anybody uses, so that disposing may free it. */
  readonly ownsJson: boolean;
  /** Of zstd:chunked, the TOC's bytes as they lie in the blob. */
  readonly compressed: Uint8Array | undefined;
  readonly blobSize: number;
  readonly payloadSize: number;
  readonly limits: EstargzLimits;
}

/**
 * Bytes that claim to be a table of contents. Nothing of them can be read until a digest from a trusted place (the
 * layer's descriptor in a manifest) says that they are the right ones: `verify` is the only way to an {@link Archive}.
 *
 * Disposing frees the bytes at once, which may be more than 100 MB; archives that were made are as good as before.
 */
export class UnverifiedArchive implements Disposable {
  readonly footer: Footer;
  /** The sha256 of the TOC JSON that was found. Not proof of anything. */
  readonly tocDigest: Digest;
  #found: FoundToc;

  constructor(found: FoundToc) {
    this.footer = found.footer;
    this.tocDigest = digestOf(found.json, "sha256");
    this.#found = found;
  }

  /**
   * Proves the TOC against the digest of its JSON, and reads it.
   *
   * @param expected the annotation `containerd.io/snapshot/stargz/toc.digest` of the layer's descriptor
   * @throws {EsgzError} `DIGEST_MISMATCH` if the TOC is another one; `TOC_INVALID` or `LIMIT_EXCEEDED` if it cannot be
   * used; `TOC_INVALID` also if it has no digests of its chunks, as old stargz layers, so that their content could
   * never be proven.
   */
  verify(expected: Digest): Archive {
    this.#assertToc(expected);
    return this.#read();
  }

  /**
   * Proves the TOC of a zstd:chunked layer against the digest of its compressed bytes, and reads it.
   *
   * @param manifestChecksum the annotation `io.github.containers.zstd-chunked.manifest-checksum`, or its older name
   * @throws {EsgzError} as {@linkcode UnverifiedArchive.verify}; `TOC_INVALID` if the layer is not zstd:chunked.
   */
  verifyCompressedToc(manifestChecksum: Digest): Archive {
    const { compressed } = this.#found;
    if (compressed === undefined) throw invalidToc(undefined, "zstd:chunked", this.footer.kind);
    assertDigest("compressed TOC", compressed, manifestChecksum);
    return this.#read();
  }

  /** Frees the TOC's bytes, after which nothing can be proven. */
  [Symbol.dispose](): void {
    const { json, ownsJson } = this.#found;
    if (ownsJson) releaseBuffer(json);
    this.#found = { ...this.#found, json: NO_BYTES, compressed: undefined };
  }

  /** Bytes that nobody else has are as they were when they were found: they are not hashed again. */
  #assertToc(expected: Digest): void {
    const { json, ownsJson } = this.#found;
    if (ownsJson && json.length > 0 && expected === this.tocDigest) return;
    assertDigest("TOC", json, expected);
  }

  #read(): Archive {
    const { json, limits, payloadSize, blobSize } = this.#found;
    const format = formatOf(this.footer);
    const compression = format === "zstd:chunked" ? "zstd" : "gzip";
    const toc = resolveToc(decodeToc(json, { limits, payloadSize }), { limits, compression });
    if (!toc.hasAllDigests) assertProvable(toc.entries);
    const { tocDigest } = this;
    return new Archive({ format, compression, tocDigest, tocSize: json.length, blobSize, payloadSize }, toc);
  }
}

function formatOf(footer: Footer): ArchiveFormat {
  return footer.kind === "external" ? "estargz" : footer.kind;
}

function assertProvable(entries: readonly TocEntry[]): void {
  for (const entry of entries) {
    for (const chunk of entry.chunks) {
      if (chunk.kind === "data" && chunk.digest === undefined) {
        throw invalidToc(entry.name, "a digest of each chunk", `none at ${chunk.fileOffset}`);
      }
    }
  }
}

function assertDigest(what: string, bytes: Uint8Array, expected: Digest): void {
  const found = digestOf(bytes, algorithmOf(expected));
  if (found !== expected) throw digestMismatch(what, expected, found);
}

function digestOf(bytes: Uint8Array, algorithm: ReturnType<typeof algorithmOf>): Digest {
  return `${algorithm}:${hash(algorithm, bytes, "hex")}`;
}
