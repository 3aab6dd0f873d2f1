/**
 * Where a registry that lives in a directory keeps what.
 *
 * ```
 * <root>/blobs/<algorithm>/<first 2 hex digits>/<hex>            content
 * <root>/temp/<name>                                             half-written files; emptied at start
 * <root>/repositories/<repository>/_blobs/<digest>               link to a blob; empty
 * <root>/repositories/<repository>/_manifests/<digest>           link to a manifest; JSON
 * <root>/repositories/<repository>/_tags/<tag>                   the digest that the tag means
 * <root>/repositories/<repository>/_referrers/<subject>/<digest> descriptor of a referrer; JSON
 * <root>/repositories/<repository>/_uploads/<uuid>               bytes of an upload so far
 * ```
 *
 * No part of a repository's name begins with `_`, so the two never meet. No name holds `/`, and none is `.` or
 * `..`: digests and ids are hex digits, tags and the parts of a repository's name begin with a letter, a digit or `_`.
 *
 * @module
 */
import { join } from "node:path";
import { algorithmOf, type Digest, hexOf } from "../oci/index.ts";
import type { RecordCollection, UploadKey } from "./registry-storage.ts";

/** Paths below one root. Pure: nothing is created. */
export class DirectoryLayout {
  readonly blobs: string;
  readonly temp: string;
  readonly repositories: string;

  constructor(root: string) {
    this.blobs = join(root, "blobs");
    this.temp = join(root, "temp");
    this.repositories = join(root, "repositories");
  }

  /** The file of some content. */
  content(digest: Digest): string {
    const hex = hexOf(digest);
    return join(this.blobs, algorithmOf(digest), hex.slice(0, 2), hex);
  }

  /** The folder of a repository. */
  repository(name: string): string {
    return join(this.repositories, ...name.split("/"));
  }

  /** The folder of a repository's uploads. */
  uploads(repository: string): string {
    return join(this.repository(repository), "_uploads");
  }

  /** The file of an upload. */
  upload(key: UploadKey): string {
    return join(this.uploads(key.repository), key.id);
  }

  /** The folder of a set of records. */
  collection(collection: RecordCollection): string {
    const folder = join(this.repository(collection.repository), `_${collection.kind}`);
    return collection.kind === "referrers" ? join(folder, collection.subject) : folder;
  }

  /** The file of a record. */
  record(collection: RecordCollection, name: string): string {
    return join(this.collection(collection), name);
  }
}
