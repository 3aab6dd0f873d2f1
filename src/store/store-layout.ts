/**
 * What lies where in a store.
 *
 * ```text
 * format                        "esgz store 1" and a line feed
 * lock                          locked with flock(2) while a process has the store open; holds its pid
 * reserve                       room for metadata on a full disk (space-reserve.ts)
 * metadata.db                   references, images, layers, leases (SQLite)
 * content/<algorithm>/<hex>     manifests, configs and other small blobs
 * layers/<algorithm>-<hex>/     a layer, by the digest of its blob:
 *   meta                          EROFS image of the metadata
 *   data                          EROFS data device, sparse
 *   chunks                        where each chunk lies and what it is (chunk-table-file.ts), and where the layer comes from
 *   filled                        which chunks are there (filled-file.ts)
 *   source                        where the layer comes from, if that has changed since (layer-source.ts)
 * temp/                         what is being made or thrown away; emptied when the store is opened
 * ```
 *
 * Everything but `data`, `filled`, `source` and the database is immutable once it has its name. Each file but `data`
 * carries a digest of itself; `data` is checked chunk by chunk.
 *
 * @module
 */
import { join } from "node:path";
import { algorithmOf, type Digest, hexOf, isDigest, parseDigest } from "../oci/index.ts";

/** The version of the layout, as the file `format` says it. */
export const STORE_FORMAT = "esgz store 1\n";

/** The permissions of a store's directories: what is in it is its owner's alone. */
export const DIRECTORY_MODE = 0o700;

/** The files of one layer, as absolute or root-relative paths. */
export interface LayerPaths {
  readonly directory: string;
  /** The EROFS image of the metadata. */
  readonly meta: string;
  /** The EROFS data device. */
  readonly data: string;
  readonly chunks: string;
  readonly filled: string;
  readonly source: string;
}

/** The paths of the files of a layer that lies in a directory. */
export function layerPaths(directory: string): LayerPaths {
  return {
    directory,
    meta: join(directory, "meta"),
    data: join(directory, "data"),
    chunks: join(directory, "chunks"),
    filled: join(directory, "filled"),
    source: join(directory, "source"),
  };
}

/** The paths of a store. */
export class StoreLayout {
  readonly root: string;
  readonly format: string;
  readonly lock: string;
  readonly database: string;
  readonly reserve: string;
  readonly content: string;
  readonly layers: string;
  readonly temp: string;
  #temporaries = 0;

  constructor(root: string) {
    this.root = root;
    this.format = join(root, "format");
    this.lock = join(root, "lock");
    this.database = join(root, "metadata.db");
    this.reserve = join(root, "reserve");
    this.content = join(root, "content");
    this.layers = join(root, "layers");
    this.temp = join(root, "temp");
  }

  /** The directory of a layer. @throws {EsgzError} `DIGEST_INVALID` for what is none: it would lead out of the store */
  layer(digest: Digest): string {
    return join(this.layers, layerDirectoryName(parseDigest(digest)));
  }

  /** The file of a small blob. @throws {EsgzError} `DIGEST_INVALID` as {@linkcode layer} */
  contentFile(digest: Digest): string {
    return join(this.content, algorithmOf(digest), hexOf(parseDigest(digest)));
  }

  /** A name in `temp` that nothing else has. */
  nextTemporary(): string {
    this.#temporaries += 1;
    return join(this.temp, String(this.#temporaries));
  }
}

/** The name of a layer's directory: no colon, since mount options separate paths with them. */
export function layerDirectoryName(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}`;
}

/** The digest of the layer that a directory is named after, or undefined if it is no such name. */
export function layerDigestOf(directoryName: string): Digest | undefined {
  const text = directoryName.replace("-", ":");
  return isDigest(text) && layerDirectoryName(text) === directoryName ? text : undefined;
}
