/**
 * From the compressed table of contents to its JSON bytes.
 *
 * Of the gzip dialects the TOC is a gzip member that holds a tar with one file, `stargz.index.json`; so is the layer of
 * a TOC image. Of zstd:chunked it is bare zstd.
 *
 * @module
 */
import { promisify } from "node:util";
import { gunzip, zstdDecompress } from "node:zlib";
import { concatBytes, viewOf } from "../bytes/index.ts";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { TarDecoder, type TarEntry } from "../tar/index.ts";
import type { ZstdFooter } from "./zstd-footer.ts";
import { limitExceeded } from "./limits.ts";
import { TOC_NAME } from "./resolve-toc.ts";
import { invalidToc, quote } from "./toc-fields.ts";

const inflateGzip = promisify(gunzip);
const inflateZstd = promisify(zstdDecompress);

/** Room in the tar for all but the JSON: headers, padding, end of archive. */
const TAR_OVERHEAD = 64 * 1024;
const OPEN_BRACE = 0x7b;

/**
 * The JSON inside the gzip member of a TOC.
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export async function extractGzipToc(
  member: Uint8Array,
  limits: { readonly maxTocBytes: number },
): Promise<Uint8Array> {
  const max = limits.maxTocBytes + TAR_OVERHEAD;
  const hint = member.length < 18 ? 0 : viewOf(member).getUint32(member.length - 4, true);
  const chunkSize = Math.min(Math.max(hint, member.length, 1024), max) + 1;
  const tar = await inflating(inflateGzip(member, { chunkSize, maxOutputLength: max }), limits.maxTocBytes);
  return jsonOfTar(tar, limits);
}

/**
 * The JSON inside the zstd data of a zstd:chunked TOC.
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export async function extractZstdToc(
  compressed: Uint8Array,
  options: { readonly footer: ZstdFooter; readonly limits: { readonly maxTocBytes: number } },
): Promise<Uint8Array> {
  const { footer, limits } = options;
  if (footer.tocSize > limits.maxTocBytes) {
    throw limitExceeded("TOC bytes", limits.maxTocBytes, footer.tocSize);
  }
  const sizes = { chunkSize: Math.max(64, footer.tocSize + 1), maxOutputLength: footer.tocSize };
  const json = await inflating(inflateZstd(compressed, sizes), footer.tocSize);
  if (json.length === footer.tocSize) return json;
  throw invalidToc(undefined, `${footer.tocSize} bytes`, `${json.length}`);
}

/**
 * The JSON of a TOC that came apart from its blob: JSON itself, a tar, or a gzip tar (the layer of a TOC image).
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export async function extractExternalToc(
  content: Uint8Array,
  limits: { readonly maxTocBytes: number },
): Promise<Uint8Array> {
  if (content[0] === 0x1f && content[1] === 0x8b) return await extractGzipToc(content, limits);
  const json = content[0] === OPEN_BRACE ? content : jsonOfTar(content, limits);
  if (json.length > limits.maxTocBytes) throw limitExceeded("TOC bytes", limits.maxTocBytes, json.length);
  return json;
}

async function inflating(work: Promise<Uint8Array>, limit: number): Promise<Uint8Array> {
  try {
    return await work;
  } catch (error) {
    if (systemCodeOf(error) === "ERR_BUFFER_TOO_LARGE") throw limitExceeded("TOC bytes", limit, "more");
    throw new EsgzError("TOC_INVALID", `Cannot inflate TOC: ${messageOf(error)}`, { cause: error });
  }
}

/** The content of the tar's first entry, which is the TOC. A view. */
function jsonOfTar(tar: Uint8Array, limits: { readonly maxTocBytes: number }): Uint8Array {
  const { entry, content } = firstFile(tar);
  if (entry.name !== TOC_NAME || entry.type !== "reg" || entry.sparse !== undefined) {
    throw invalidToc(undefined, `a tar that begins with ${TOC_NAME}`, quote(entry.name));
  }
  if (entry.size > limits.maxTocBytes) throw limitExceeded("TOC bytes", limits.maxTocBytes, entry.size);
  if (content.length !== entry.size) throw invalidToc(undefined, `${entry.size} bytes`, `${content.length}`);
  return content;
}

function firstFile(tar: Uint8Array): { readonly entry: TarEntry; readonly content: Uint8Array } {
  const parts: Uint8Array[] = [];
  let entry: TarEntry | undefined;
  try {
    for (const event of new TarDecoder({ sparse: "raw" }).push(tar)) {
      if (event.kind === "entry") {
        if (entry !== undefined) break;
        entry = event.entry;
      } else if (event.kind === "data" && entry !== undefined) parts.push(event.bytes);
      else if (entry !== undefined) break;
    }
  } catch (error) {
    throw new EsgzError("TOC_INVALID", `Cannot read the tar of the TOC: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (entry === undefined) throw invalidToc(undefined, `a tar that begins with ${TOC_NAME}`, "no entry");
  return { entry, content: concatBytes(parts) };
}
