/**
 * The metadata image of a layer in use: verified once, and again when somebody has touched the file.
 *
 * @module
 */
import { createHash, hash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { encodeHex } from "../bytes/index.ts";
import { replaceFile } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import { equalFingerprints, type Fingerprint, fingerprintOf } from "./filled-file.ts";
import { storeInvalid } from "./store-error.ts";

/** Which bytes the file must have. */
export interface CheckedMetaOptions {
  readonly digest: Digest;
  /** Of the file when its bytes were last known to be right. */
  readonly believed?: Fingerprint | undefined;
}

/** Knows the state of the file in which its bytes were right. */
export class CheckedMeta {
  readonly #path: string;
  readonly #digest: Digest;
  #fingerprint: Fingerprint;

  private constructor(path: string, digest: Digest, fingerprint: Fingerprint) {
    this.#path = path;
    this.#digest = digest;
    this.#fingerprint = fingerprint;
  }

  /** Verifies the file, if that is needed. @throws {EsgzError} `STORE_INVALID`; errors of the system */
  static async open(path: string, { digest, believed }: CheckedMetaOptions): Promise<CheckedMeta> {
    return new CheckedMeta(path, digest, await verifyFile(path, { digest, believed }));
  }

  /** For a file that was written a moment ago. @throws {EsgzError} `STORE_INVALID` */
  static ofNew(path: string, digest: Digest): CheckedMeta {
    return new CheckedMeta(path, digest, fingerprintAt(path));
  }

  /** Of the file when its bytes were right: what is noted when a session ends, whatever has become of it since. */
  get fingerprint(): Fingerprint {
    return this.#fingerprint;
  }

  /** Verifies the file once more if it was touched. @throws {EsgzError} `STORE_INVALID`; errors of the system */
  async verify(): Promise<void> {
    this.#fingerprint = await verifyFile(this.#path, { digest: this.#digest, believed: this.#fingerprint });
  }

  /**
   * Puts a new file in the place of one that is damaged. Whoever has the old one open keeps it.
   *
   * @returns whether these are the bytes
   * @throws errors of the system
   */
  async replace(bytes: Uint8Array, options: { readonly temporary: string }): Promise<boolean> {
    if (`sha256:${hash("sha256", bytes)}` !== this.#digest) return false;
    await replaceFile(this.#path, bytes, options);
    this.#fingerprint = fingerprintAt(this.#path);
    return true;
  }
}

/** Returns the fingerprint that the file had before it was read. */
async function verifyFile(path: string, { digest, believed }: CheckedMetaOptions): Promise<Fingerprint> {
  const found = fingerprintAt(path);
  if (believed !== undefined && equalFingerprints(believed, found)) return found;
  const sum = createHash("sha256");
  for await (const piece of createReadStream(path)) sum.update(piece as Uint8Array);
  const actual = `sha256:${encodeHex(sum.digest())}`;
  if (actual === digest) return found;
  throw storeInvalid(`"${path}"`, { expected: digest, found: actual });
}

function fingerprintAt(path: string): Fingerprint {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found?.isFile() !== true)
    throw storeInvalid(`"${path}"`, { expected: "a regular file", found: "none" });
  return fingerprintOf(found);
}
