/**
 * Reading data files, and copying chunks between them.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import type { OpenedFile } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import { type ChunkSlot, isChunk, isStored, writeSlot } from "./chunk-slot.ts";
import { copyInKernel } from "./native-calls.ts";
import { guarded, storeFailure } from "./store-error.ts";

/** The data file of an open layer. */
export interface DataFile {
  readonly layer: Digest;
  readonly path: string;
  readonly file: OpenedFile;
}

/** Reads a range, whatever is there. @throws {EsgzError} `IO_FAILED`, also where the file ends too early */
export async function readDataFile(
  { layer, path, file }: DataFile,
  { offset, size }: ByteRange,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  return await guarded(`read ${layer}`, async () => {
    for (let filled = 0; filled < size;) {
      const count = await file.read(bytes.subarray(filled), offset + filled);
      if (count === 0) {
        const reason = new Error(`expected bytes at ${offset + filled}, got the end of the file`);
        throw storeFailure(`read "${path}"`, reason);
      }
      filled += count;
    }
    return bytes;
  });
}

/**
 * Copies a chunk, inside the kernel where that can be, with the zeros behind it, and verifies the copy.
 *
 * @returns whether the chunk is there now; what is there otherwise does not matter.
 * @throws {EsgzError} `IO_FAILED`; system errors as they are
 */
export async function copySlot(
  from: { readonly data: DataFile; readonly slot: ChunkSlot },
  to: { readonly data: DataFile; readonly slot: ChunkSlot },
): Promise<boolean> {
  const { slot } = to;
  const target = to.data.file;
  const copied = copyInKernel(
    { fd: from.data.file.fd, offset: from.slot.place },
    { fd: target.fd, offset: slot.place },
    { size: slot.size },
  );
  if (copied < slot.size) {
    const bytes = await readDataFile(from.data, { offset: from.slot.place, size: slot.size });
    if (!isChunk(slot, bytes)) return false;
    await writeSlot(target, slot, bytes);
    return true;
  }
  await target.write([new Uint8Array(slot.padding)], slot.place + slot.size);
  return await isStored(target, slot);
}
