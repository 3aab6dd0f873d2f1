/**
 * An image into a docker archive.
 *
 * @module
 */
import { Channel, mapConcurrent } from "../async/index.ts";
import type { BlobSource } from "../blob/index.ts";
import { DockerArchiveDestination, type ImageDestination } from "../image/index.ts";
import type { Descriptor, ImageReference } from "../oci/index.ts";
import { type BlobPart, moveBlobParts } from "./blob-parts.ts";
import { type BlobTransport, withBlobTransport } from "./blob-transport.ts";
import type { PulledLayer } from "./pull-report.ts";
import type { PullSession, TargetOutcome } from "./pull-session.ts";

/** Blobs in work at once; each is decompressed on the way, which takes a core. */
const BLOBS_AT_ONCE = 2;

/**
 * Pulls an image into an archive as `docker save` writes it. The file appears under its name when it is complete.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `COMPRESSION_INVALID`, `NO_SPACE`, `IO_FAILED`; codes of the source's medium.
 */
export async function pullToArchive(
  session: PullSession,
  target: { readonly file: string; readonly reference?: ImageReference | undefined },
): Promise<TargetOutcome> {
  const { image, phases, progress, signal } = session;
  await using destination = await DockerArchiveDestination.open(target.file, { reference: target.reference });
  await destination.writeBlob(image.configBytes, { expected: image.manifest.config });
  const unique = new Map(image.layers.map((layer) => [layer.descriptor.digest, layer]));
  for (const { index, descriptor } of unique.values()) progress.expect(index, descriptor.size);
  await withBlobTransport(session, async (transport) => {
    await mapConcurrent(
      unique.values(),
      async ({ index, descriptor, blob }, context) => {
        const onReceived = (bytes: number): void => progress.received(index, bytes);
        await copyBlob({ descriptor, blob }, { destination, transport, onReceived, signal: context.signal });
      },
      { concurrency: BLOBS_AT_ONCE, signal },
    );
  });
  phases.end("transfer");
  const mediaType = image.descriptor.mediaType;
  const manifest = await destination.writeManifest({ bytes: image.manifestBytes, mediaType });
  await destination.publish(manifest, { signal });
  phases.end("finish");
  const layers = image.layers.map(({ index, descriptor }): PulledLayer => {
    const { digest, size } = descriptor;
    const fetchedBytes = progress.fetchedOf(index);
    return { index, digest, size, way: "whole", fetchedBytes, skippedBytes: 0, blobDigest: "verified" };
  });
  return { layers, reusedBytes: 0, files: 0, resumed: false, omissions: [] };
}

/** Fetches parts in parallel and hands them on in order; the destination checks the digest once more. */
async function copyBlob(
  { descriptor, blob }: { readonly descriptor: Descriptor; readonly blob: BlobSource },
  context: {
    readonly destination: ImageDestination;
    readonly transport: BlobTransport;
    readonly onReceived: (bytes: number) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { destination, transport, onReceived, signal } = context;
  const ordered = new OrderedParts();
  const moving = moveBlobParts(blob, descriptor, {
    ...transport,
    signal,
    store: async (part, bytes) => await ordered.put(part, bytes),
    onReceived,
  }).then(
    () => ordered.end(),
    (error: unknown) => ordered.fail(error),
  );
  try {
    await destination.writeBlob(ordered, { expected: descriptor, signal });
  } catch (error) {
    ordered.fail(error);
    throw error;
  } finally {
    await moving;
  }
}

/** Parts that come in any order, as a stream in order. A part's memory is its giver's until it has been passed on. */
class OrderedParts implements AsyncIterable<Uint8Array> {
  readonly #channel = new Channel<Uint8Array>(1);
  readonly #waiting = new Map<number, () => void>();
  #position = 0;
  #failure: { readonly error: unknown } | undefined;

  /** Resolves when the part has been passed on. */
  async put(part: BlobPart, bytes: Uint8Array): Promise<void> {
    while (part.offset !== this.#position && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#waiting.set(part.offset, resolve));
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    await this.#channel.send(new Uint8Array(bytes));
    this.#position += part.size;
    this.#wake(this.#position);
  }

  end(): void {
    this.#channel.end();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#channel.fail(error);
    for (const offset of this.#waiting.keys()) this.#wake(offset);
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this.#channel[Symbol.asyncIterator]();
  }

  #wake(offset: number): void {
    this.#waiting.get(offset)?.();
    this.#waiting.delete(offset);
  }
}
