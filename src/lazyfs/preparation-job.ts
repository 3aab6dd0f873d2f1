/**
 * What threads that prepare images are asked for, and what they answer. Plain data, all of it.
 *
 * @module
 */
import type { JobFailure } from "../workers/index.ts";
import type { DeclinedLayer } from "./declined-layer.ts";
import type { LayerMaterial, MadeLayer } from "./make-layer.ts";
import type { MergedBytes, MergePart } from "./merge-stored-metas.ts";

/** One thing to do. */
export type PreparationJob =
  | { readonly kind: "make"; readonly material: LayerMaterial }
  | { readonly kind: "merge"; readonly parts: readonly MergePart[] }
  /**
   * Makes and merges made-up layers and forgets them: whoever does it for the second time is faster. In front of the first time
   * all garbage is collected: later that would cost what was compiled.
   */
  | { readonly kind: "practise"; readonly layers: readonly Uint8Array[]; readonly isFirst: boolean };

/** A declined layer whose cause is data: an error would lose its code between threads. */
export interface DeclinedAnswer extends Omit<DeclinedLayer, "cause"> {
  readonly failure: JobFailure | undefined;
}

/** What came of it. */
export type PreparationAnswer =
  MadeLayer | DeclinedAnswer | ({ readonly kind: "merged" } & MergedBytes) | { readonly kind: "practised" };
