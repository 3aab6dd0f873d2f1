import type { Descriptor } from "../oci/index.ts";
import { FileBlob } from "./file-blob.ts";

/** The open blob files of one source: one per digest and size, closed together. */
export class BlobFiles implements AsyncDisposable {
  readonly #blobs = new Map<string, FileBlob>();
  readonly #locate: (descriptor: Descriptor) => string;

  /** `locate` names the file of a descriptor. */
  constructor(locate: (descriptor: Descriptor) => string) {
    this.#locate = locate;
  }

  /** The blob of a descriptor; its file is opened at the first read. */
  open(descriptor: Descriptor): FileBlob {
    const key = `${descriptor.digest} ${descriptor.size}`;
    const known = this.#blobs.get(key);
    if (known !== undefined) return known;
    const blob = new FileBlob(this.#locate(descriptor), { size: descriptor.size });
    this.#blobs.set(key, blob);
    return blob;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#blobs.values()].map((blob) => blob[Symbol.asyncDispose]()));
  }
}
