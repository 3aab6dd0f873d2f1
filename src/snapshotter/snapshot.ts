/**
 * A snapshot: one directory of changes over those of its ancestors.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";

/** What a snapshot is good for: to be written to, to be looked at, to be built upon. */
export type SnapshotKind = "active" | "view" | "committed";

/** Short texts that clients attach. A key or value that is empty is never kept. */
export type Labels = Readonly<Record<string, string>>;

/** What a snapshot takes, without its ancestors. */
export interface SnapshotUsage {
  /** Bytes on the disk. */
  readonly size: number;
  readonly inodes: number;
}

/** The layer that a remote snapshot shows, with what is needed to find it again. */
export interface RemoteOrigin {
  readonly digest: Digest;
  /** The image it was asked for with. */
  readonly reference: string;
  /** Of the table of contents that it is shown by; absent if it was stored whole. */
  readonly tocDigest?: Digest | undefined;
  readonly manifest?: Digest | undefined;
  readonly skipVerify: boolean;
  /** Owner of the layer's root directory, where it was told. */
  readonly owner?: DirectoryOwner | undefined;
}

/** Who owns a directory. */
export interface DirectoryOwner {
  readonly uid: number;
  readonly gid: number;
}

/** One snapshot, as it is at a moment: changes make a new value. */
export interface Snapshot {
  /** Names its directory; never used twice. */
  readonly id: number;
  /** The key of an active snapshot or a view, the name of a committed one. */
  readonly name: string;
  /** The name of the snapshot below; empty for none. */
  readonly parent: string;
  readonly kind: SnapshotKind;
  readonly labels: Labels;
  /** Milliseconds since 1970, as are all times here. */
  readonly createdMs: number;
  readonly updatedMs: number;
  /** Of a committed snapshot, as counted when it was committed. */
  readonly usage?: SnapshotUsage | undefined;
  /** Present if its directory is the mount of a layer. */
  readonly remote?: RemoteOrigin | undefined;
}

/** Labels without those that are empty, as containerd's stores keep them. */
export function keptLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key, value]) => key !== "" && value !== ""));
}
