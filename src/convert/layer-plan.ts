/**
 * What to do with a layer, and why.
 *
 * @module
 */
import { type Descriptor, layerCompressionOf } from "../oci/index.ts";
import type { ConvertSettings } from "./convert-options.ts";

/** What one tail read told about a layer. */
export interface LayerFacts {
  /** The seekable format that the layer has, or undefined for an ordinary layer. */
  readonly format?: "estargz" | "stargz" | "zstd:chunked" | undefined;
  /** Whether the TOC was verified against the digest on the layer's descriptor. */
  readonly verified: boolean;
  /** Whether the TOC lies in another image. */
  readonly external: boolean;
}

/** What to do with a layer. */
export interface LayerPlan {
  readonly kind: "convert" | "pass-through" | "leave-in-place";
  readonly reason: string;
}

/** The settings that decide. */
export type PlanSettings = Pick<ConvertSettings, "format" | "force" | "externalToc" | "seekable">;

/** The plan for a layer whose descriptor alone decides, or undefined if its content must be looked at. */
export function planByDescriptor(layer: Descriptor, settings: PlanSettings): LayerPlan | undefined {
  if (isForeign(layer)) {
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
  if (facts.format === undefined) return { kind: "convert", reason: "was an ordinary layer" };
  if (facts.format !== format) return { kind: "convert", reason: `was ${facts.format}` };
  if (facts.external) return { kind: "convert", reason: "its TOC lies in another image and is made anew" };
  if (settings.externalToc)
    return { kind: "convert", reason: "its TOC lies inside and moves to the TOC image" };
  if (!facts.verified) {
    return { kind: "convert", reason: `was ${name} without the annotation that proves its TOC` };
  }
  return { kind: "pass-through", reason: `already ${name}` };
}

/** Whether a layer may only be fetched from where its maker keeps it. */
export function isForeign({ mediaType, urls }: Descriptor): boolean {
  return (
    mediaType.includes(".nondistributable.") || mediaType.includes(".foreign.") || (urls ?? []).length > 0
  );
}
