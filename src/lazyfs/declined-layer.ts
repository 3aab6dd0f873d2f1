/**
 * A layer that cannot be read in parts.
 *
 * @module
 */
import type { EsgzError } from "../errors/index.ts";

/** A layer that has to be read whole. */
export interface DeclinedLayer {
  readonly kind: "declined";
  /** Why, for people: a clause that follows "because". */
  readonly reason: string;
  /** The manifest promises a table of contents that the blob does not have: damage or tampering. */
  readonly mismatch: boolean;
  readonly cause?: EsgzError | undefined;
}
