/**
 * What a store knows about its layers: images, references, leases, usage. Every change is one durable
 * transaction.
 *
 * @module
 */
import { type Digest, parseDigest } from "../oci/index.ts";
import type { LayerIdentity } from "./layer-source.ts";
import { migrate } from "./metadata-schema.ts";
import { digestIn, numberIn, type Row, SqliteDatabase, textIn } from "./sqlite-database.ts";

/** An image as a reference names it. */
export interface ImageRecord {
  /** The reference, in full. */
  readonly name: string;
  /** The platform that was chosen, such as `linux/amd64`. */
  readonly platform: string;
  /** What the reference pointed to: an index or a manifest. */
  readonly root: Digest;
  readonly manifest: Digest;
  /** The blobs of the layers, the lowest first. */
  readonly layers: readonly Digest[];
  /**
   * The TOC that each layer was made from, by the image's word; none where a layer was read whole. Absent: all were.
   */
  readonly tocDigests?: readonly (Digest | undefined)[] | undefined;
  /** Small blobs that the image needs beside `root` and `manifest`: its config, TOCs. */
  readonly content: readonly Digest[];
  /** The metadata of all layers as one image. Absent: what is noted for the manifest stays. */
  readonly merged?: MergedMeta | undefined;
}

/** The metadata images of an image's layers, merged. It is kept among the small blobs, and can be made again. */
export interface MergedMeta {
  readonly digest: Digest;
  /** What it was made from, as its maker puts it: a merge of other layers' metadata is of no use. */
  readonly madeFrom: string;
}

/** An image record with the time when its reference was last set. */
export interface StoredImage extends ImageRecord {
  /** Milliseconds since 1970. */
  readonly updatedMs: number;
}

/** Keeps layers from eviction and pruning, also over restarts. */
export interface Lease {
  /** Chosen by its owner; taking a lease with an id that exists replaces it. */
  readonly id: string;
  /** `mount` for what is mounted; other words as owners like. */
  readonly kind: string;
  readonly layers: readonly Digest[];
  /** What the owner wants to remember, such as a mount's options as JSON. */
  readonly detail: string;
  /** When it ends by itself, milliseconds since 1970; never if absent. */
  readonly expiresMs?: number | undefined;
}

/** The database of a store. */
export class MetadataDatabase implements Disposable {
  readonly #database: SqliteDatabase;

  private constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  /**
   * Opens or creates a database.
   *
   * @throws {EsgzError} `STORE_INVALID` if it is damaged or of a later version; `NO_SPACE`
   */
  static open(path: string): MetadataDatabase {
    return new MetadataDatabase(SqliteDatabase.open(path, { migrate }));
  }

  /** Notes what a reference names now. */
  setImage(image: ImageRecord, options: { readonly nowMs: number }): void {
    const { manifest, name, platform, root } = image;
    for (const digest of [manifest, root, ...image.layers, ...image.content]) parseDigest(digest);
    this.#database.transaction(() => {
      this.#database.run("INSERT INTO images VALUES (?, ?) ON CONFLICT DO NOTHING", manifest, options.nowMs);
      this.#database.run("DELETE FROM image_layers WHERE manifest = ?", manifest);
      for (const [position, layer] of image.layers.entries()) {
        const toc = image.tocDigests?.[position] ?? null;
        this.#database.run("INSERT INTO image_layers VALUES (?, ?, ?, ?)", manifest, position, layer, toc);
      }
      for (const content of new Set([root, manifest, ...image.content])) {
        this.#database.run(
          "INSERT INTO image_content VALUES (?, ?) ON CONFLICT DO NOTHING",
          manifest,
          content,
        );
      }
      this.#database.run(
        "INSERT OR REPLACE INTO refs VALUES (?, ?, ?, ?, ?)",
        name,
        platform,
        root,
        manifest,
        options.nowMs,
      );
      if (image.merged !== undefined) this.#setMerged(manifest, image.merged);
    });
  }

  /** Notes the merged metadata of an image; without effect for a manifest that is not known. */
  setMergedMeta(manifest: Digest, merged: MergedMeta): void {
    this.#database.transaction(() => this.#setMerged(manifest, merged));
  }

  #setMerged(manifest: Digest, { digest, madeFrom }: MergedMeta): void {
    this.#database.run(
      "INSERT OR REPLACE INTO merged_metas SELECT manifest, ?, ? FROM images WHERE manifest = ?",
      digest,
      madeFrom,
      manifest,
    );
  }

  /** All references, by name and platform. */
  images(): readonly StoredImage[] {
    return this.#database.all("SELECT * FROM refs ORDER BY name, platform").map((row) => {
      const manifest = digestIn(row, "manifest");
      const root = digestIn(row, "root");
      return {
        name: textIn(row, "name"),
        platform: textIn(row, "platform"),
        root,
        manifest,
        ...this.#layersOf(manifest),
        content: this.#database
          .digests("SELECT content FROM image_content WHERE manifest = ? ORDER BY 1", manifest)
          .filter((digest) => digest !== root && digest !== manifest),
        ...this.#mergedOf(manifest),
        updatedMs: numberIn(row, "updated_ms"),
      };
    });
  }

  #layersOf(manifest: Digest): Pick<ImageRecord, "layers" | "tocDigests"> {
    const rows = this.#database.all(
      "SELECT * FROM image_layers WHERE manifest = ? ORDER BY position",
      manifest,
    );
    const tocDigests = rows.map((row) => (row["toc"] === null ? undefined : digestIn(row, "toc")));
    const layers = rows.map((row) => digestIn(row, "layer"));
    return tocDigests.every((toc) => toc === undefined) ? { layers } : { layers, tocDigests };
  }

  #mergedOf(manifest: Digest): Pick<ImageRecord, "merged"> {
    const [row] = this.#database.all("SELECT * FROM merged_metas WHERE manifest = ?", manifest);
    if (row === undefined) return {};
    return { merged: { digest: digestIn(row, "meta"), madeFrom: textIn(row, "made_from") } };
  }

  /** Forgets a reference, for one platform or for all; false if there was none. */
  removeReference(name: string, options: { readonly platform?: string | undefined } = {}): boolean {
    const { platform } = options;
    const removed =
      platform === undefined
        ? this.#database.run("DELETE FROM refs WHERE name = ?", name)
        : this.#database.run("DELETE FROM refs WHERE name = ? AND platform = ?", name, platform);
    return removed > 0;
  }

  /** Forgets images that no reference names, except some; the number of them. */
  removeUnnamedImages(options: { readonly but?: ReadonlySet<Digest> | undefined } = {}): number {
    return this.#database.run(
      `DELETE FROM images WHERE manifest NOT IN (SELECT manifest FROM refs)
       AND manifest NOT IN (SELECT value FROM json_each(?))`,
      JSON.stringify([...(options.but ?? [])]),
    );
  }

  /**
   * Takes a lease, replacing one with the same id. Without `durable`, a power loss may undo it.
   *
   * @param options.identities what its layers are, as far as it is known; what the lease was first taken on stays.
   */
  setLease(
    lease: Lease,
    options: {
      readonly nowMs: number;
      readonly durable: boolean;
      readonly identities: ReadonlyMap<Digest, LayerIdentity>;
    },
  ): void {
    const { id, kind, detail, expiresMs = null } = lease;
    // One that is none could not be read again, nor any beside it.
    for (const layer of lease.layers) parseDigest(layer);
    using _sync = this.#database.synchronous(options);
    this.#database.transaction(() => {
      const identities = new Map([...options.identities, ...this.#identitiesOf(id)]);
      this.#database.run("DELETE FROM leases WHERE id = ?", id);
      this.#database.run(
        "INSERT INTO leases VALUES (?, ?, ?, ?, ?)",
        id,
        kind,
        detail,
        options.nowMs,
        expiresMs,
      );
      for (const [position, layer] of lease.layers.entries()) {
        const { metaDigest = null, tocDigest = null } = identities.get(layer) ?? {};
        this.#database.run(
          "INSERT INTO lease_layers VALUES (?, ?, ?, ?, ?)",
          id,
          position,
          layer,
          metaDigest,
          tocDigest,
        );
      }
    });
  }

  #identitiesOf(lease: string): [Digest, LayerIdentity][] {
    return this.#database
      .all("SELECT layer, meta, toc FROM lease_layers WHERE lease = ? AND meta IS NOT NULL", lease)
      .map((row) => [digestIn(row, "layer"), identityIn(row)]);
  }

  /** Ends a lease; false if there was none. Without `durable`, a power loss may undo that. */
  removeLease(id: string, options: { readonly durable: boolean }): boolean {
    using _sync = this.#database.synchronous(options);
    return this.#database.run("DELETE FROM leases WHERE id = ?", id) > 0;
  }

  /** Ends the leases whose time has come. */
  expireLeases(nowMs: number): void {
    this.#database.run("DELETE FROM leases WHERE expires_ms <= ?", nowMs);
  }

  /** All leases, by id. */
  leases(): readonly Lease[] {
    return this.#database.all("SELECT * FROM leases ORDER BY id").map((row) => {
      const id = textIn(row, "id");
      const layers = this.#database.digests(
        "SELECT layer FROM lease_layers WHERE lease = ? ORDER BY position",
        id,
      );
      const lease = { id, kind: textIn(row, "kind"), detail: textIn(row, "detail"), layers };
      return row["expires_ms"] === null ? lease : { ...lease, expiresMs: numberIn(row, "expires_ms") };
    });
  }

  /** The layers that a lease holds. */
  leasedLayers(): ReadonlySet<Digest> {
    return new Set(this.#database.digests("SELECT DISTINCT layer FROM lease_layers"));
  }

  /** What a layer was when leases were taken on it, as far as it was known then. */
  leasedIdentities(layer: Digest): readonly LayerIdentity[] {
    return this.#database
      .all("SELECT DISTINCT meta, toc FROM lease_layers WHERE layer = ? AND meta IS NOT NULL", layer)
      .map(identityIn);
  }

  /** The layers of all images. */
  imageLayers(): ReadonlySet<Digest> {
    return new Set(this.#database.digests("SELECT DISTINCT layer FROM image_layers"));
  }

  /** The small blobs of all images. */
  imageContent(): ReadonlySet<Digest> {
    return new Set(
      this.#database.digests("SELECT content FROM image_content UNION SELECT meta FROM merged_metas"),
    );
  }

  /** Notes when layers were last used, in milliseconds since 1970. */
  setUsed(times: ReadonlyMap<Digest, number>): void {
    if (times.size === 0) return;
    this.#database.transaction(() => {
      for (const [layer, usedMs] of times)
        this.#database.run("INSERT OR REPLACE INTO layers VALUES (?, ?)", layer, usedMs);
    });
  }

  /** When layers were last used, in milliseconds since 1970. */
  used(): ReadonlyMap<Digest, number> {
    const rows = this.#database.all("SELECT * FROM layers");
    return new Map(rows.map((row) => [digestIn(row, "layer"), numberIn(row, "used_ms")]));
  }

  /** Forgets when a layer was used. */
  forgetUsed(layer: Digest): void {
    this.#database.run("DELETE FROM layers WHERE layer = ?", layer);
  }

  [Symbol.dispose](): void {
    this.#database[Symbol.dispose]();
  }
}

function identityIn(row: Row): LayerIdentity {
  const tocDigest = row["toc"] === null ? undefined : digestIn(row, "toc");
  return { metaDigest: digestIn(row, "meta"), tocDigest };
}
