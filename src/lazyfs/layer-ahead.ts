/**
 * What is done with a layer before its descriptor is known.
 *
 * @module
 */
import type { RawToc } from "../estargz/index.ts";
import type { MadeLayer } from "./make-layer.ts";

/** Promises that never reject; undefined is what could not be done. */
export interface LayerAhead {
  /** Its table of contents. Nothing proves it yet. */
  readonly raw: Promise<RawToc | undefined>;
  /** The layer, made from a table of contents of a digest that somebody vouched for. */
  readonly made?: Promise<MadeLayer | undefined> | undefined;
}
