/**
 * Verified chunks in memory, for as long as the disk has no room for them.
 *
 * @module
 */
import type { Layer } from "../store/index.ts";

/** Keeps the chunks used last, up to a number of bytes. */
export class MemoryChunks {
  readonly #maxBytes: number;
  readonly #chunks = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Keeps a chunk, which must be verified. The bytes are the memory's from then on. */
  put(layer: Layer, chunk: number, bytes: Uint8Array): void {
    const key = keyOf(layer, chunk);
    this.#delete(key);
    this.#chunks.set(key, bytes);
    this.#bytes += bytes.length;
    for (const oldest of this.#chunks.keys()) {
      if (this.#bytes <= this.#maxBytes || this.#chunks.size === 1) return;
      this.#delete(oldest);
    }
  }

  /** A chunk, which becomes the one used last. Not to be changed. */
  get(layer: Layer, chunk: number): Uint8Array | undefined {
    const key = keyOf(layer, chunk);
    const bytes = this.#chunks.get(key);
    if (bytes === undefined) return undefined;
    this.#chunks.delete(key);
    this.#chunks.set(key, bytes);
    return bytes;
  }

  /** The chunks of a layer that are here. */
  chunksOf(layer: Layer): number[] {
    const prefix = keyOf(layer, "");
    return [...this.#chunks.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => Number(key.slice(prefix.length)));
  }

  /** Forgets a chunk. */
  delete(layer: Layer, chunk: number): void {
    this.#delete(keyOf(layer, chunk));
  }

  /** Forgets a layer. */
  drop(layer: Layer): void {
    for (const chunk of this.chunksOf(layer)) this.delete(layer, chunk);
  }

  #delete(key: string): void {
    const bytes = this.#chunks.get(key);
    if (bytes === undefined) return;
    this.#chunks.delete(key);
    this.#bytes -= bytes.length;
  }
}

function keyOf(layer: Layer, chunk: number | ""): string {
  return `${layer.digest} ${chunk}`;
}
