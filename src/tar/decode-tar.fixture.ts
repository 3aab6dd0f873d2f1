/**
 * A whole tar in memory, for tests.
 *
 * @module
 */
import { TarDecoder, type TarDecoderOptions, type TarEntry, type TarEvent } from "./index.ts";

/** An entry with all its content. */
export interface DecodedEntry {
  readonly entry: TarEntry;
  readonly content: Buffer;
  readonly padding: Buffer;
}

/** Everything a decoder said, with neighbouring pieces joined. */
export interface DecodedTar {
  readonly entries: readonly DecodedEntry[];
  readonly globals: readonly Buffer[];
  readonly trailer: Buffer;
  /** The bytes of all events in order. */
  readonly stream: Buffer;
}

/** How to feed the decoder. */
export interface DecodeTarOptions extends TarDecoderOptions {
  /** Lengths of the chunks, used in turns; one chunk when absent. */
  readonly chunkSizes?: readonly number[];
}

/** Decodes a tar, chunk by chunk. Each chunk is a copy that is overwritten after its push. */
export function decodeTar(tar: Uint8Array, options: DecodeTarOptions = {}): DecodedTar {
  const decoder = new TarDecoder(options);
  const collector = new Collector();
  for (let at = 0, i = 0; at < tar.length; i += 1) {
    const size = options.chunkSizes?.[i % options.chunkSizes.length] ?? tar.length;
    const chunk = Uint8Array.from(tar.subarray(at, at + size));
    for (const event of decoder.push(chunk)) collector.add(event);
    chunk.fill(0xaa);
    at += size;
  }
  for (const event of decoder.finish()) collector.add(event);
  return collector.result();
}

class Collector {
  readonly #entries: { entry: TarEntry; content: Buffer[]; padding: Buffer[] }[] = [];
  readonly #globals: Buffer[] = [];
  readonly #trailer: Buffer[] = [];
  readonly #stream: Buffer[] = [];

  add(event: TarEvent): void {
    const bytes = Buffer.from(event.kind === "entry" ? event.entry.rawHeader : event.bytes);
    this.#stream.push(bytes);
    const last = this.#entries.at(-1);
    if (event.kind === "entry") {
      this.#entries.push({ entry: { ...event.entry, rawHeader: bytes }, content: [], padding: [] });
    } else if (event.kind === "data") last?.content.push(bytes);
    else if (event.kind === "padding") last?.padding.push(bytes);
    else if (event.kind === "global") this.#globals.push(bytes);
    else this.#trailer.push(bytes);
  }

  result(): DecodedTar {
    return {
      entries: this.#entries.map(({ entry, content, padding }) => ({
        entry,
        content: Buffer.concat(content),
        padding: Buffer.concat(padding),
      })),
      globals: this.#globals,
      trailer: Buffer.concat(this.#trailer),
      stream: Buffer.concat(this.#stream),
    };
  }
}
