/**
 * Tar-split data on its way into a blob: compressed piece by piece while the tar goes by, so that its text, which is twice
 * as long as all headers together, is never there as a whole.
 *
 * @module
 */
import { concatBytes } from "../bytes/index.ts";
import type { TarSplitRecorder } from "./tar-split.ts";

/** Bytes that are compressed, and how many they were before. */
export interface CompressedPart {
  readonly bytes: Uint8Array;
  /** Uncompressed bytes. */
  readonly size: number;
}

/** Compresses what a recorder has: one zstd frame a piece. The frames never depend on when this is called. */
export class TarSplitFrames {
  readonly #recorder: TarSplitRecorder;
  readonly #compress: (piece: Uint8Array) => Promise<Uint8Array>;
  #frames: Uint8Array[] = [];
  #size = 0;

  constructor(recorder: TarSplitRecorder, compress: (piece: Uint8Array) => Promise<Uint8Array>) {
    this.#recorder = recorder;
    this.#compress = compress;
  }

  /** Compresses the pieces that are complete. */
  async advance(): Promise<void> {
    for (const piece of this.#recorder.takePieces()) {
      if (this.#recorder.isExact) this.#frames.push(await this.#compress(piece));
      this.#size += piece.length;
    }
  }

  /** All frames; undefined if no reader could make them agree with the TOC. */
  async finish(): Promise<CompressedPart | undefined> {
    this.#recorder.finish();
    await this.advance();
    return this.#recorder.isExact ? { bytes: concatBytes(this.#frames), size: this.#size } : undefined;
  }
}
