/**
 * Layers for tests: their chunks follow from a seed, and the data device that they must give is known.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Digest } from "../oci/index.ts";
import type { ChunkRow, LayerSource, NewLayer } from "./index.ts";

/** A layer with what its chunks and its data device hold. */
export interface SampleLayer {
  readonly digest: Digest;
  readonly layer: NewLayer;
  readonly contents: readonly Uint8Array[];
  readonly device: Uint8Array;
}

/** A file of a sample: the sizes of its chunks, and a hole before it. */
export interface SampleFile {
  readonly chunks: readonly number[];
  readonly gapBlocks?: number;
  /** Bytes of a hole behind the first chunk, inside the file. */
  readonly hole?: number;
}

/** Files of all kinds: one small, one of aligned chunks, one of unaligned chunks, one with a hole, tiny chunks. */
export const SAMPLE_FILES: readonly SampleFile[] = [
  { chunks: [10] },
  { chunks: [8192, 8192, 100] },
  { chunks: [5000, 5000, 5000], gapBlocks: 2 },
  { chunks: [3000, 70_000], hole: 20_000 },
  { chunks: [1, 2, 3, 4, 5] },
  { chunks: [4096] },
];

const SOURCE: LayerSource = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  blobSize: 1000,
  compression: "gzip",
  prefetchSize: 0,
  locations: [{ registry: "registry.example", repository: "app" }],
  blobVerified: false,
};

/** Makes a sample layer. Equal `content` texts give equal chunks, at different places. */
export function sampleLayer(
  name: string,
  files: readonly SampleFile[] = SAMPLE_FILES,
  content: string = name,
): SampleLayer {
  const rows: ChunkRow[] = [];
  const contents: Uint8Array[] = [];
  let end = 0;
  for (const file of files) {
    let place = Math.ceil(end / 4096) * 4096 + (file.gapBlocks ?? 0) * 4096;
    for (const [at, size] of file.chunks.entries()) {
      if (at === 1) place += file.hole ?? 0;
      const bytes = sampleBytes(`${content}/${contents.length}`, size);
      const digest = createHash("sha256").update(bytes).digest();
      rows.push({ place, size, blobOffset: rows.length * 100, memberSize: 100, innerOffset: 0, digest });
      contents.push(bytes);
      place += size;
    }
    end = place;
  }
  const dataSize = (Math.ceil(end / 4096) + 1) * 4096;
  const device = new Uint8Array(dataSize);
  for (const [at, row] of rows.entries()) device.set(contents[at] ?? [], row.place);
  const digest = `sha256:${createHash("sha256").update(name).digest("hex")}` as const;
  const meta = sampleBytes(`${name}/meta`, 4096);
  return { digest, contents, device, layer: { meta, chunks: { dataSize, rows }, source: SOURCE } };
}

/** Bytes that follow from a text. */
export function sampleBytes(text: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let at = 0, block = 0; at < size; block += 1, at += 64) {
    const part = createHash("sha512").update(`${text}:${block}`).digest();
    bytes.set(part.subarray(0, Math.min(64, size - at)), at);
  }
  return bytes;
}

/** A directory that is deleted with its contents. */
export async function scratchDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "esgz-store-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
