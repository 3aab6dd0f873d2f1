/**
 * What is done with a layer before its descriptor is known.
 *
 * @module
 */
import type { RawToc } from "../estargz/index.ts";
import type { DeclinedLayer } from "./declined-layer.ts";
import type { MadeLayer } from "./make-layer.ts";

/** Undefined is what could not be done, since something was told wrong: it has to be done by the descriptor. */
export interface LayerAhead {
  /** Its table of contents. Nothing proves it yet. Rejects as a read does that was told right. */
  readonly raw: Promise<RawToc | undefined>;
  /** What came of making it from a table of contents whose digest somebody vouched for. Never rejects. */
  readonly made?: Promise<MadeLayer | DeclinedLayer | undefined> | undefined;
}
