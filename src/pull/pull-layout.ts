/**
 * An image into an OCI layout, its blobs as they are.
 *
 * @module
 */
import { mkdir, rename, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { mapConcurrent, systemClock } from "../async/index.ts";
import type { BlobSource } from "../blob/index.ts";
import { EsgzError, ioCodeOf, isEsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { type ImageDestination, OciLayoutDestination } from "../image/index.ts";
import { algorithmOf, type Descriptor, hexOf } from "../oci/index.ts";
import { moveBlobParts } from "./blob-parts.ts";
import { PartialBlob } from "./partial-blob.ts";
import { type BlobTransport, withBlobTransport } from "./blob-transport.ts";
import type { PulledLayer } from "./pull-report.ts";
import type { PullSession, TargetOutcome } from "./pull-session.ts";

/** Where unfinished blobs lie, inside the layout. */
const PARTIAL_DIRECTORY = ".esgz-partial";
/** Blobs in work at once; the connections are shared among them. */
const BLOBS_AT_ONCE = 4;
/** How often it is looked whether another pull has brought a blob, or ended without it. */
const WAIT_MS = 50;

/**
 * Pulls an image into a layout. Blobs that are there already are not fetched, unfinished ones are continued, and the
 * layout's index changes when everything is there.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `DIGEST_MISMATCH`, `NO_SPACE`, `IO_FAILED`; codes of the source's medium.
 */
export async function pullToLayout(
  session: PullSession,
  target: { readonly directory: string; readonly tag?: string | undefined },
): Promise<TargetOutcome> {
  const { image, phases } = session;
  await using destination = await OciLayoutDestination.open(target.directory, { tag: target.tag });
  await mkdir(join(target.directory, PARTIAL_DIRECTORY), { recursive: true });
  await destination.writeBlob(image.configBytes, { expected: image.manifest.config });
  const outcomes = await withBlobTransport(session, async (transport) => {
    return await copyLayers(session, { destination, transport, directory: target.directory });
  });
  phases.end("transfer");
  await rmdir(join(target.directory, PARTIAL_DIRECTORY)).catch(ignoreLeftovers);
  const mediaType = image.descriptor.mediaType;
  const manifest = await destination.writeManifest({ bytes: image.manifestBytes, mediaType });
  const { platform } = image;
  await destination.publish({ ...manifest, ...(platform === undefined ? {} : { platform }) }, session);
  phases.end("finish");
  const reusedBytes = outcomes.reduce((sum, outcome) => sum + outcome.reusedBytes, 0);
  return {
    layers: outcomes.map(({ layer }) => layer),
    reusedBytes,
    files: 0,
    resumed: reusedBytes > 0,
    omissions: [],
  };
}

interface LayerCopy {
  readonly destination: ImageDestination;
  readonly transport: BlobTransport;
  readonly directory: string;
}

interface CopiedLayer {
  readonly layer: PulledLayer;
  readonly reusedBytes: number;
}

async function copyLayers(session: PullSession, copy: LayerCopy): Promise<CopiedLayer[]> {
  const { image, progress, signal } = session;
  const done = new Map<string, Promise<number>>();
  for (const { index, descriptor } of image.layers) progress.expect(index, descriptor.size);
  return await mapConcurrent(
    image.layers,
    async ({ index, descriptor, blob }, context) => {
      const known = done.get(descriptor.digest);
      const work =
        known ?? copyBlob({ descriptor, blob, index }, { ...copy, session, signal: context.signal });
      done.set(descriptor.digest, work);
      const reusedBytes = await work;
      const reused = known !== undefined || reusedBytes === descriptor.size;
      return {
        reusedBytes: known === undefined ? reusedBytes : descriptor.size,
        layer: {
          index,
          digest: descriptor.digest,
          size: descriptor.size,
          way: "whole",
          fetchedBytes: reused ? 0 : descriptor.size - reusedBytes,
          skippedBytes: 0,
          blobDigest: reused ? "reused" : "verified",
        },
      };
    },
    { concurrency: BLOBS_AT_ONCE, signal },
  );
}

interface BlobCopy {
  readonly descriptor: Descriptor;
  readonly blob: BlobSource;
  /** The layer's index. */
  readonly index: number;
}

type CopyContext = LayerCopy & { readonly session: PullSession; readonly signal: AbortSignal };

/** Returns the bytes that were there already. What another pull brings is waited for. */
async function copyBlob(copy: BlobCopy, context: CopyContext): Promise<number> {
  const { descriptor } = copy;
  const { destination, directory, session, signal } = context;
  try {
    for (;;) {
      if (await destination.hasBlob(descriptor, context)) {
        session.progress.expect(copy.index, 0);
        return descriptor.size;
      }
      const reused = await fillBlob(copy, context);
      if (reused !== undefined) return reused;
      await systemClock.sleep(WAIT_MS, { signal });
    }
  } catch (error) {
    throw writeFailure(directory, error);
  }
}

/**
 * Completes the partial file and gives it its name; undefined while another pull is at it. If what an earlier run left turns out
 * to be wrong, once more from the start.
 */
async function fillBlob(copy: BlobCopy, context: CopyContext): Promise<number | undefined> {
  const { descriptor } = copy;
  const { destination, directory } = context;
  const [algorithm, hex] = [algorithmOf(descriptor.digest), hexOf(descriptor.digest)];
  const path = join(directory, PARTIAL_DIRECTORY, `${algorithm}-${hex}`);
  const blobs = join(directory, "blobs", algorithm);
  // Another pull that has just ended may have removed it.
  for (const place of [dirname(path), blobs]) await mkdir(place, { recursive: true });
  for (let attempt = 0; ; attempt += 1) {
    await using partial = await PartialBlob.open(path);
    if (partial === undefined) return undefined;
    // Another pull may have brought it just now.
    if (await destination.hasBlob(descriptor, context)) {
      await partial.discard();
      return undefined;
    }
    const continued = partial.completeParts > 0;
    try {
      const reused = await moveInto(partial, copy, context);
      await partial.complete();
      await rename(path, join(blobs, hex));
      return reused;
    } catch (error) {
      if (!isEsgzError(error, "DIGEST_MISMATCH")) throw error;
      await partial.discard();
      if (!continued || attempt > 0) throw error;
    }
  }
}

async function moveInto(
  partial: PartialBlob,
  { blob, descriptor, index }: BlobCopy,
  { transport, session, signal }: CopyContext,
): Promise<number> {
  const { progress } = session;
  let reused = 0;
  await moveBlobParts(blob, descriptor, {
    ...transport,
    signal,
    reuse: async (part, into) => {
      if (!(await partial.read(part, into))) return false;
      reused += part.size;
      progress.expect(index, descriptor.size - reused);
      return true;
    },
    store: async (part, bytes) => {
      await partial.write(part, bytes);
    },
    onReceived: (bytes) => progress.received(index, bytes),
  });
  return reused;
}

function ignoreLeftovers(error: unknown): void {
  // Unfinished blobs of another image stay for the pull that will continue them; another pull may have removed it.
  if (!["EEXIST", "ENOENT", "ENOTEMPTY"].includes(systemCodeOf(error) ?? "")) throw error;
}

function writeFailure(directory: string, error: unknown): unknown {
  if (error instanceof EsgzError || systemCodeOf(error) === undefined) return error;
  const text = `Cannot write OCI layout "${directory}": ${messageOf(error)}`;
  return new EsgzError(ioCodeOf(error), text, { cause: error });
}
