/**
 * libdeflate, where the system has it: the fastest inflate and deflate for whole buffers.
 *
 * The library is looked for once a thread, on first use. `deep` binding keeps its symbols apart from those that node
 * itself exports.
 *
 * @module
 */
import { createRequire } from "node:module";

/** What came of an attempt to inflate one gzip member. */
export type InflateOutcome =
  | { readonly kind: "done"; readonly consumed: number; readonly produced: number }
  /** The output had no room for the whole member. */
  | { readonly kind: "full" }
  | { readonly kind: "invalid" };

/** The parts of libdeflate that are used here. */
export interface Libdeflate {
  /** Inflates the gzip member at the start of `input` into `output`. */
  inflateGzip(input: Uint8Array, output: Uint8Array): InflateOutcome;
  /** The most bytes that a gzip member of `size` bytes of content can take. */
  gzipBound(size: number): number;
  /** Allocates a compressor; each is used by one call at a time. Levels 0 to 12. */
  allocateCompressor(level: number): unknown;
  freeCompressor(compressor: unknown): void;
  /** Compresses on a thread of the pool; resolves to the bytes written, a complete gzip member. */
  compressGzip(compressor: unknown, io: { input: Uint8Array; output: Uint8Array }): Promise<number>;
  /** The same on this thread. */
  compressGzipSync(compressor: unknown, io: { input: Uint8Array; output: Uint8Array }): number;
}

type Koffi = typeof import("koffi");
const FILES = ["libdeflate.so.0", "libdeflate.0.dylib", "/opt/homebrew/lib/libdeflate.0.dylib"];
const DONE = 0;
const NO_ROOM = 3;

let found: Libdeflate | "absent" | undefined;

/** The library, or undefined where this machine has none. */
export function loadLibdeflate(): Libdeflate | undefined {
  found ??= openLibrary() ?? "absent";
  return found === "absent" ? undefined : found;
}

function openLibrary(): Libdeflate | undefined {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as Koffi;
    for (const file of FILES) {
      const library = tryLoad(koffi, file);
      if (library !== undefined) return bind(library);
    }
    return undefined;
  } catch {
    return undefined;
  }
}

function tryLoad(koffi: Koffi, file: string): ReturnType<Koffi["load"]> | undefined {
  try {
    return koffi.load(file, { deep: true });
  } catch {
    return undefined;
  }
}

function bind(library: ReturnType<Koffi["load"]>): Libdeflate {
  const allocDecompressor = library.func("void *libdeflate_alloc_decompressor()");
  const decompress = library.func(
    "int libdeflate_gzip_decompress_ex(void *d, const uint8_t *in, size_t inSize, _Out_ uint8_t *out, size_t outSize, _Out_ size_t *consumed, _Out_ size_t *produced)",
  );
  const allocCompressor = library.func("void *libdeflate_alloc_compressor(int level)");
  const freeCompressor = library.func("void libdeflate_free_compressor(void *c)");
  const bound = library.func("size_t libdeflate_gzip_compress_bound(void *c, size_t size)");
  const compress = library.func(
    "size_t libdeflate_gzip_compress(void *c, const uint8_t *in, size_t inSize, _Out_ uint8_t *out, size_t outSize)",
  );
  const decompressor: unknown = allocDecompressor();
  return {
    inflateGzip: (input, output) => {
      const consumed = [0];
      const produced = [0];
      const result: unknown = decompress(
        decompressor,
        input,
        input.length,
        output,
        output.length,
        consumed,
        produced,
      );
      if (result === NO_ROOM) return { kind: "full" };
      if (result !== DONE) return { kind: "invalid" };
      return { kind: "done", consumed: Number(consumed[0]), produced: Number(produced[0]) };
    },
    gzipBound: (size) => Number(bound(null, size)),
    allocateCompressor: (level): unknown => allocCompressor(level),
    freeCompressor: (compressor) => void freeCompressor(compressor),
    compressGzipSync: (compressor, { input, output }) =>
      Number(compress(compressor, input, input.length, output, output.length)),
    compressGzip: (compressor, { input, output }) =>
      new Promise((resolve, reject) => {
        compress.async(
          compressor,
          input,
          input.length,
          output,
          output.length,
          (error: unknown, size: unknown) => {
            if (error !== null && error !== undefined) reject(error as Error);
            else resolve(Number(size));
          },
        );
      }),
  };
}

/** Whether members are inflated by libdeflate on this machine, in words for people. */
export function probeLibdeflate(): { readonly usable: boolean; readonly detail: string } {
  return loadLibdeflate() === undefined
    ? { usable: false, detail: `none of ${FILES.join(", ")} can be loaded` }
    : { usable: true, detail: "inflates at about twice zlib's speed" };
}
