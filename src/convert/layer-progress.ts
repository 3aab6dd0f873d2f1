/**
 * Counting the bytes of a layer as they go in and out.
 *
 * @module
 */
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";
import type { ConvertEvent, LayerIdentity } from "./convert-report.ts";

/** Reports how far one layer is. */
export class LayerProgress {
  readonly #layer: LayerIdentity;
  readonly #size: number;
  readonly #report: (event: ConvertEvent) => void;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(
    layer: LayerIdentity,
    options: { readonly size: number; readonly report: (event: ConvertEvent) => void },
  ) {
    this.#layer = layer;
    this.#size = options.size;
    this.#report = options.report;
  }

  /** The same blob; what is read of it counts as bytes in. */
  countIn(blob: BlobSource): BlobSource {
    const count = (size: number): void => this.add({ bytesIn: size });
    return {
      size: blob.size,
      async read(range: ByteRange, options?: ReadOptions): Promise<Uint8Array> {
        const bytes = await blob.read(range, options);
        count(bytes.length);
        return bytes;
      },
      async *stream(range: ByteRange, options?: ReadOptions): AsyncGenerator<Uint8Array> {
        for await (const chunk of blob.stream(range, options)) {
          count(chunk.length);
          yield chunk;
        }
      },
    };
  }

  /** The same stream; what goes through counts as bytes out. */
  async *countOut(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of stream) {
      this.add({ bytesOut: chunk.length });
      yield chunk;
    }
  }

  /** Adds to the counts and reports them. */
  add(bytes: { readonly bytesIn?: number; readonly bytesOut?: number }): void {
    this.#bytesIn += bytes.bytesIn ?? 0;
    this.#bytesOut += bytes.bytesOut ?? 0;
    this.#report({
      kind: "layer-progress",
      layer: this.#layer,
      bytesIn: this.#bytesIn,
      size: this.#size,
      bytesOut: this.#bytesOut,
    });
  }
}
