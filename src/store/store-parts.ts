import type { Clock } from "../async/index.ts";
import type { Digest } from "../oci/index.ts";
import type { ChunkCopier } from "./chunk-copier.ts";
import type { ContentStore } from "./content-store.ts";
import type { LayerContext } from "./layer-files.ts";
import type { LayerShelf } from "./layer-shelf.ts";
import type { MetadataDatabase } from "./metadata-database.ts";
import type { SpaceReserve } from "./space-reserve.ts";
import type { StoreLayout } from "./store-layout.ts";
import type { StoreLock } from "./store-lock.ts";
import type { StoreRoom } from "./store-room.ts";

/** The parts that a store is made of; see `openStore()`. */
export interface StoreParts {
  readonly layout: StoreLayout;
  readonly lock: StoreLock;
  readonly database: MetadataDatabase;
  readonly shelf: LayerShelf;
  readonly content: ContentStore;
  readonly room: StoreRoom;
  readonly reserve: SpaceReserve;
  readonly context: LayerContext;
  readonly clock: Clock;
  readonly copier: ChunkCopier;
  readonly used: Map<Digest, number>;
}
