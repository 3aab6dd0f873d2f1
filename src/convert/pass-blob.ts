/**
 * Bringing a blob to the destination as it is, with as few bytes as possible.
 *
 * @module
 */
import { type BlobSource, type ReadOptions, wholeRange } from "../blob/index.ts";
import type { ImageDestination, ImageSource } from "../image/index.ts";
import type { Descriptor } from "../oci/index.ts";
import type { LayerTransfer } from "./convert-report.ts";

/** What {@linkcode passBlob} takes. */
export interface PassBlobOptions extends ReadOptions {
  readonly source: ImageSource;
  readonly destination: ImageDestination;
  /** Is called with the bytes of each piece that is copied. */
  readonly onBytes?: ((size: number) => void) | undefined;
}

/**
 * Mounts the blob if source and destination are one registry, leaves it if it is there, else copies it. A copy is
 * checked against digest and size.
 */
export async function passBlob(descriptor: Descriptor, options: PassBlobOptions): Promise<LayerTransfer> {
  const { source, destination, signal } = options;
  // A mount answers both questions, whether it is there and whether it can be, in one request.
  const mountable = destination.kind === "registry" && source.repository !== undefined;
  if (mountable && (await destination.mountBlob(descriptor, source, { signal }))) return "mounted";
  if (await destination.hasBlob(descriptor, { signal })) return "present";
  const content = watched(source.openBlob(descriptor), options);
  await destination.writeBlob(content, { expected: descriptor, signal });
  return "copied";
}

async function* watched(blob: BlobSource, { onBytes, signal }: PassBlobOptions): AsyncGenerator<Uint8Array> {
  for await (const chunk of blob.stream(wholeRange(blob), { signal })) {
    onBytes?.(chunk.length);
    yield chunk;
  }
}
