/**
 * What the snapshotter needs from its host to show layers that nobody has unpacked.
 *
 * @module
 */
import type { Digest, TocPlace } from "../oci/index.ts";
import type { DirectoryOwner, Labels, SnapshotUsage } from "./snapshot.ts";

/** Which layer of which image. */
export interface RemoteRequest {
  /** The image, as the client named it; with a digest where the client knew it. */
  readonly reference: string;
  readonly digest: Digest;
  /** What the table of contents must be; absent if the client did not say. */
  readonly tocDigest?: Digest | undefined;
  /** Where the tables of contents of this layer and of those above lie, as far as the client said: hints. */
  readonly tocPlaces: ReadonlyMap<Digest, TocPlace>;
  /** This layer and those above it, as far as the client's label had room: a hint. The manifest has them all. */
  readonly imageLayers: readonly Digest[];
  /** The image's manifest, where the client said it. */
  readonly manifest?: Digest | undefined;
  /** The policy lets this layer be shown without a table of contents that is proven. */
  readonly skipVerify: boolean;
  /** Everything that the client attached. */
  readonly labels: Labels;
  /** Fires when nobody waits any more. */
  readonly signal: AbortSignal;
}

/** Whether a layer can be mounted now. */
export type RemotePreparation =
  | {
      readonly kind: "ready";
      /** Of the table of contents that it is shown by; absent if all of it is there and proven by its own digest. */
      readonly tocDigest?: Digest | undefined;
      /** Owner of the layer's root directory; asked of the mounted directory if absent. */
      readonly owner?: DirectoryOwner | undefined;
    }
  | {
      readonly kind: "declined";
      /** For people: why this layer has to be unpacked. */
      readonly reason: string;
    };

/** Where and under which id a layer is mounted. */
export interface RemoteMountOptions {
  /** An existing directory. */
  readonly directory: string;
  /** The same for the same snapshot, also after a restart. */
  readonly id: string;
  /**
   * What the layer was prepared with: by another table of contents it must not be shown, whoever had it made meanwhile. `any`
   * where nothing is verified.
   */
  readonly tocDigest: Digest | "any" | undefined;
}

/** Layers by digest, mounted before they have arrived. */
export interface RemoteLayers {
  /**
   * Makes a layer known. At the first call for an image, an implementation resolves all of its layers at once: the calls for
   * the others follow one by one. A failure is a decline, told at once.
   */
  prepare(request: RemoteRequest): Promise<RemotePreparation>;
  /**
   * Shows a layer at a directory, as overlayfs wants its lower directories. Idempotent: if the mount with this id is there and
   * alive, also from before a restart, nothing happens. No network is needed for layers that were prepared once.
   */
  mount(digest: Digest, options: RemoteMountOptions): Promise<void>;
  /** Takes a mount away, also one that is in use. Does nothing where nothing is mounted. */
  unmount(directory: string): Promise<void>;
  /** What a layer takes on this machine now. */
  usage(digest: Digest): Promise<SnapshotUsage>;
}
