/**
 * Blobs: pull, check, delete.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import type { Catalog } from "./catalog.ts";
import type { Exchange } from "./exchange.ts";
import { parseRangeHeader } from "./range-header.ts";
import { RegistryProblem } from "./registry-problem.ts";

/** A blob of a repository. */
export interface BlobTarget {
  readonly repository: string;
  readonly digest: Digest;
}

/** Answers `HEAD /v2/<name>/blobs/<digest>`. */
export async function headBlob(exchange: Exchange, catalog: Catalog, target: BlobTarget): Promise<void> {
  const stat = await catalog.statBlob(target.repository, target.digest);
  if (stat === undefined) throw unknownBlob(target);
  exchange.sendEmpty(200, { ...blobHeaders(target), "Content-Length": stat.size });
}

/** Answers `GET /v2/<name>/blobs/<digest>`, whole or one range of it. */
export async function getBlob(exchange: Exchange, catalog: Catalog, target: BlobTarget): Promise<void> {
  await using reader = await catalog.openBlob(target.repository, target.digest);
  if (reader === undefined) throw unknownBlob(target);
  const { size } = reader;
  const headers = blobHeaders(target);
  if (isUnchanged(exchange, headers.ETag)) return exchange.sendEmpty(304, headers);
  const range = parseRangeHeader(rangeOf(exchange, headers.ETag), size);
  if (range === "unsatisfiable") {
    throw new RegistryProblem("SIZE_INVALID", `no such range in ${size} bytes`, {
      status: 416,
      headers: { "Content-Range": `bytes */${size}` },
    });
  }
  if (range === undefined) {
    return await exchange.sendContent(200, { reader, range: { offset: 0, size } }, headers);
  }
  const contentRange = `bytes ${range.offset}-${range.offset + range.size - 1}/${size}`;
  await exchange.sendContent(206, { reader, range }, { ...headers, "Content-Range": contentRange });
}

/** Answers `DELETE /v2/<name>/blobs/<digest>`. */
export async function deleteBlob(exchange: Exchange, catalog: Catalog, target: BlobTarget): Promise<void> {
  if (!(await catalog.unlinkBlob(target.repository, target.digest))) throw unknownBlob(target);
  exchange.sendEmpty(202, { "Docker-Content-Digest": target.digest });
}

/** Whether the client has the content already and says so. */
export function isUnchanged(exchange: Exchange, etag: string): boolean {
  const known = exchange.header("if-none-match");
  return known !== undefined && (known.trim() === "*" || known.split(",").some((one) => one.trim() === etag));
}

/** A range with an `If-Range` that names something else means: the whole, please. */
function rangeOf(exchange: Exchange, etag: string): string | undefined {
  const condition = exchange.header("if-range");
  return condition === undefined || condition === etag ? exchange.header("range") : undefined;
}

function blobHeaders({ digest }: BlobTarget): Readonly<Record<string, string>> & { readonly ETag: string } {
  return {
    "Accept-Ranges": "bytes",
    "Cache-Control": "max-age=31536000, immutable",
    "Content-Type": "application/octet-stream",
    "Docker-Content-Digest": digest,
    ETag: `"${digest}"`,
  };
}

function unknownBlob({ digest }: BlobTarget): RegistryProblem {
  return new RegistryProblem("BLOB_UNKNOWN", "blob unknown to repository", { detail: { digest } });
}
