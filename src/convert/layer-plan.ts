/**
 * What to do with a layer, and why.
 *
 * @module
 */
import { type Descriptor, isForeignLayer, layerCompressionOf } from "../oci/index.ts";
import type { ZstdDialect } from "../estargz/index.ts";
import type { ConvertSettings } from "./convert-options.ts";

/** What one tail read told about a layer. */
export type LayerFacts =
  /** It is seekable, with a table of contents that the manifest proves. */
  | {
      readonly kind: "seekable";
      readonly format: "estargz" | "stargz" | "zstd:chunked";
      /** Whose annotations its descriptor has. */
      readonly zstdDialect?: ZstdDialect | undefined;
    }
  /** It is eStargz, and its table of contents lies in another image. */
  | { readonly kind: "external" }
  /** It is none of these, for a reason. */
  | { readonly kind: "opaque"; readonly reason: string };

/** What to do with a layer. */
export interface LayerPlan {
  readonly kind: "convert" | "pass-through" | "leave-in-place";
  readonly reason: string;
}

/** The settings that decide. */
export type PlanSettings = Pick<
  ConvertSettings,
  "format" | "force" | "externalToc" | "seekable" | "zstdDialect"
>;

/** The plan for a layer whose descriptor alone decides, or undefined if its content must be looked at. */
export function planByDescriptor(layer: Descriptor, settings: PlanSettings): LayerPlan | undefined {
  if (isForeignLayer(layer)) {
    const atUrls = (layer.urls ?? []).length > 0;
    if (atUrls) return { kind: "leave-in-place", reason: "foreign layer: stays at its own URLs" };
    return { kind: "pass-through", reason: "foreign layer: may not be changed" };
  }
  const compression = layerCompressionOf(layer.mediaType);
  if (compression === undefined) {
    return { kind: "pass-through", reason: `not a layer: media type ${layer.mediaType}` };
  }
  if (settings.force) return { kind: "convert", reason: "forced" };
  if (settings.seekable) return undefined;
  if (compression === settings.format) return { kind: "pass-through", reason: `already ${settings.format}` };
  return { kind: "convert", reason: `was ${compression}` };
}

/** The plan for a layer after its tail has been read. */
export function planByContent(facts: LayerFacts, settings: PlanSettings): LayerPlan {
  const { format } = settings;
  const name = format === "estargz" ? "eStargz" : format;
  if (facts.kind === "opaque") return { kind: "convert", reason: `not ${name}: ${facts.reason}` };
  if (facts.kind === "external") {
    return { kind: "convert", reason: "its table of contents lies in another image and is made anew" };
  }
  if (facts.format !== format) return { kind: "convert", reason: `was ${facts.format}` };
  if (settings.externalToc) {
    return { kind: "convert", reason: "its table of contents lies inside and moves to the TOC image" };
  }
  const { zstdDialect = facts.zstdDialect } = settings;
  if (zstdDialect !== facts.zstdDialect) {
    return { kind: "convert", reason: `was zstd:chunked in the dialect of ${facts.zstdDialect ?? "others"}` };
  }
  return { kind: "pass-through", reason: `already ${name}` };
}
