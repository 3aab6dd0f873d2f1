/**
 * What a snapshotter tells its host, for logs and metrics.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";

/** A Prepare call for a target that was not made remote, and why. */
export interface Decline {
  readonly target: string;
  readonly reason: string;
  readonly reference?: string | undefined;
  readonly digest?: Digest | undefined;
  /** How long the answer took. */
  readonly ms: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** Something that happened. */
export type SnapshotterEvent =
  /** A layer is mounted that nobody unpacked (`shared`: it was there already). */
  | {
      readonly kind: "remote-prepared";
      readonly name: string;
      readonly reference: string;
      readonly digest: Digest;
      readonly shared: boolean;
      readonly ms: number;
    }
  /** A layer will be unpacked by the client. */
  | ({ readonly kind: "declined" } & Decline)
  /** A layer that was there before a restart is there again. */
  | { readonly kind: "restored"; readonly name: string; readonly digest: Digest }
  /** It is not; it is tried again whenever it is needed. */
  | {
      readonly kind: "restore-failed";
      readonly name: string;
      readonly digest: Digest;
      readonly message: string;
    }
  /** A directory could not be removed; the next clean-up tries again. */
  | { readonly kind: "removal-failed"; readonly directory: string; readonly message: string }
  /** Found at the start: records that cannot be read, snapshots whose directory is gone, directories without a record. */
  | { readonly kind: "journal-damaged"; readonly lines: number }
  | { readonly kind: "directory-missing"; readonly name: string; readonly directory: string }
  | { readonly kind: "left-over"; readonly directory: string }
  /** The same where the journal was damaged or missing: it is kept, under this name. */
  | { readonly kind: "set-aside"; readonly directory: string };
