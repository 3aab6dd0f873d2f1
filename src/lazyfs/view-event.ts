/**
 * What views tell whoever keeps a log.
 *
 * @module
 */
import type { ErrorCode } from "../errors/index.ts";

/** Something worth a line in a log. */
export type ViewEvent =
  /** A reader got an error. */
  | { readonly kind: "read-failed"; readonly code: ErrorCode | undefined; readonly message: string }
  /** What a mount shows was changed while nobody looked: it is mounted again, from what is right, or taken away. */
  | { readonly kind: "view-changed"; readonly id: string; readonly message: string }
  /** Nobody serves any more: this process had better end, so that another takes over. */
  | { readonly kind: "server-failed"; readonly message: string }
  /** What a mount left behind could not be taken away now; `restore()` tries again. */
  | { readonly kind: "cleanup-failed"; readonly id: string; readonly message: string };
