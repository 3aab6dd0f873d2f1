/**
 * The layers that container engines found in an additional layer store, and how often they use them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { StoreLayer } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type { Store } from "../store/index.ts";

/** A layer that was found. */
export interface StoreLayerRecord {
  readonly layer: StoreLayer;
  /** How often an engine said that it uses it, less how often it said that it does not any more. */
  readonly uses: number;
}

/** What versions wrote that did not note the table of contents. */
type OldRecord = Omit<StoreLayerRecord, "layer"> & {
  readonly layer: Omit<StoreLayer, "tocDigest"> & Partial<StoreLayer>;
};

const KIND = "store-layer";

/** Kept in leases: also over restarts. A layer in use cannot be given up for room. */
export class StoreLayerRecords {
  readonly #store: Store;
  readonly #records = new Map<string, StoreLayerRecord>();

  /** @throws {EsgzError} `STORE_INVALID` */
  constructor(store: Store) {
    this.#store = store;
    for (const { kind, detail } of store.leases()) {
      if (kind !== KIND) continue;
      const record = withToc(JSON.parse(detail) as OldRecord);
      this.#records.set(leaseOf(record.layer), record);
    }
  }

  /** All of them. */
  values(): Iterable<StoreLayerRecord> {
    return this.#records.values();
  }

  /** What is known of a layer. */
  get(layer: Pick<StoreLayer, "reference" | "digest">): StoreLayerRecord | undefined {
    return this.#records.get(leaseOf(layer));
  }

  /** Whether any of the records is of a blob. */
  hasBlob(blob: Digest): boolean {
    return [...this.#records.values()].some(({ layer }) => layer.blob === blob);
  }

  /** @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  set(record: StoreLayerRecord): void {
    const { layer, uses } = record;
    const id = leaseOf(layer);
    this.#records.set(id, record);
    this.#store.setLease({
      id,
      kind: KIND,
      layers: uses > 0 ? [layer.blob] : [],
      detail: JSON.stringify(record),
    });
  }

  /** Forgets a layer. @throws {EsgzError} `STORE_INVALID` */
  remove(layer: StoreLayer): void {
    const id = leaseOf(layer);
    if (this.#records.delete(id)) this.#store.removeLease(id);
  }
}

function leaseOf({ reference, digest }: Pick<StoreLayer, "reference" | "digest">): string {
  return `${KIND}:${createHash("sha256").update(`${reference} ${digest}`).digest("hex")}`;
}

/** What nobody uses is looked for once more: no layer has a table of contents with the digest of a blob. */
function withToc({ layer, uses }: OldRecord): StoreLayerRecord {
  const { digest, blob } = layer;
  const { tocDigest = digest === blob && uses > 0 ? "any" : digest } = layer;
  return { layer: { ...layer, tocDigest }, uses };
}
