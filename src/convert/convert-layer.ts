/**
 * Converting one layer, or finding out that there is nothing to convert.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import type { Archive } from "../estargz/index.ts";
import { type Layer, openLayerArchive } from "../image/index.ts";
import type { Descriptor, Digest, MediaTypeFamily } from "../oci/index.ts";
import type { Conversion, LayerOutcome } from "./conversion.ts";
import type { LayerConversion, LayerIdentity } from "./convert-report.ts";
import { blobFactsOf, convertedDescriptor, passedDescriptor, zstdDialectOf } from "./layer-descriptor.ts";
import { type LayerPlan, planByContent, planByDescriptor } from "./layer-plan.ts";
import { LayerProgress } from "./layer-progress.ts";
import { passBlob } from "./pass-blob.ts";
import { selectPrioritized } from "./prioritized-paths.ts";
import { writeLayer } from "./write-layer.ts";

/** What converting a layer takes. */
export interface ConvertLayerOptions {
  readonly conversion: Conversion;
  readonly platform: string | undefined;
  readonly family: MediaTypeFamily;
  /** The layer's share of what may be in memory, in bytes. */
  readonly maxBytesInFlight: number;
  readonly signal: AbortSignal;
}

/** A layer as the new manifest and config name it. */
export interface ConvertedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  readonly report: LayerConversion;
}

/** A layer whose diff id is known. */
export type IdentifiedLayer = Layer & { readonly diffId: Digest };

/** Brings one layer to the destination. The same content is dealt with once, however many layers have it. */
export async function convertLayer(
  layer: IdentifiedLayer,
  options: ConvertLayerOptions,
): Promise<ConvertedLayer> {
  const { conversion, platform, family } = options;
  const { clock, onProgress } = conversion.settings;
  const identity: LayerIdentity = { index: layer.index, digest: layer.descriptor.digest, platform };
  const startMs = clock.nowMs();
  const { outcome, reused } = await outcomeOf(layer, { ...options, identity });
  const { written } = outcome;
  const descriptor =
    written === undefined
      ? passedDescriptor(layer.descriptor, { family })
      : convertedDescriptor(layer.descriptor, written, { family });
  const report = reportOf(layer, { outcome, descriptor, reused, durationMs: clock.nowMs() - startMs });
  onProgress({ kind: "layer-finished", layer: identity, report });
  return { descriptor, diffId: outcome.diffId, report };
}

interface IdentifiedOptions extends ConvertLayerOptions {
  readonly identity: LayerIdentity;
}

async function outcomeOf(
  layer: IdentifiedLayer,
  options: IdentifiedOptions,
): Promise<{ readonly outcome: LayerOutcome; readonly reused: boolean }> {
  const { outcomes } = options.conversion;
  const key = JSON.stringify([layer.descriptor.digest, layer.diffId, blobFactsOf(layer.descriptor)]);
  const known = outcomes.get(key);
  if (known !== undefined) return { outcome: await known, reused: true };
  const outcome = dealWith(layer, options);
  outcomes.set(key, outcome);
  return { outcome: await outcome, reused: false };
}

async function dealWith(layer: IdentifiedLayer, options: IdentifiedOptions): Promise<LayerOutcome> {
  const { conversion, identity } = options;
  const { onProgress: report } = conversion.settings;
  const { size } = layer.descriptor;
  const plan = await planLayer(layer, options);
  report({ kind: "layer-started", layer: identity, size, reason: plan.reason });
  const progress = new LayerProgress(identity, { size, report });
  return await carryOut(plan, layer, { ...options, progress });
}

async function planLayer(
  layer: IdentifiedLayer,
  { conversion, signal }: IdentifiedOptions,
): Promise<LayerPlan> {
  const { settings } = conversion;
  const early = planByDescriptor(layer.descriptor, settings);
  if (early !== undefined) return early;
  const found = await openLayerArchive(layer, { signal });
  if (found.kind === "seekable") {
    const { format } = found.archive;
    const zstdDialect = format === "zstd:chunked" ? zstdDialectOf(layer.descriptor) : undefined;
    const plan = planByContent({ kind: "seekable", format, zstdDialect }, settings);
    return plan.kind === "pass-through" ? withOrderHint(plan, { archive: found.archive, conversion }) : plan;
  }
  if (isEsgzError(found.cause, "TOC_MISSING")) return planByContent({ kind: "external" }, settings);
  if (found.mismatch) {
    const { digest } = layer.descriptor;
    conversion.warnings.push(`layer ${digest} is not what its manifest promises: ${found.reason}`);
  }
  return planByContent({ kind: "opaque", reason: found.reason }, settings);
}

/** A layer that passes keeps its own order, which matters if files in it should come first. */
function withOrderHint(
  plan: LayerPlan,
  { archive, conversion }: { readonly archive: Archive; readonly conversion: Conversion },
): LayerPlan {
  if (conversion.globs.length === 0) return plan;
  const paths = new Set(archive.entries.map(({ path }) => path));
  const { matched } = selectPrioritized(conversion.globs, paths);
  for (const pattern of matched) conversion.matched.add(pattern);
  if (matched.size === 0) return plan;
  return { ...plan, reason: `${plan.reason}, in its own order: only force puts files first` };
}

interface CarryOutOptions extends IdentifiedOptions {
  readonly progress: LayerProgress;
}

async function carryOut(
  plan: LayerPlan,
  layer: IdentifiedLayer,
  options: CarryOutOptions,
): Promise<LayerOutcome> {
  const { conversion, progress, signal, maxBytesInFlight } = options;
  const { reason } = plan;
  const { diffId } = layer;
  if (plan.kind === "leave-in-place") return { action: "left-in-place", transfer: "none", reason, diffId };
  if (plan.kind === "pass-through") return await passThrough(reason, layer, options);
  try {
    const result = await writeLayer(layer, { conversion, progress, diffId, maxBytesInFlight, signal });
    return { action: "converted", transfer: "uploaded", reason, ...result };
  } catch (error) {
    if (!isEsgzError(error, "TAR_INVALID") || error.details["isDangling"] !== true) throw error;
    // A valid layer, but a table of contents can only name files of its own.
    const why = "it has a hard link to a file of a layer below, which a table of contents cannot say";
    conversion.warnings.push(`layer ${layer.descriptor.digest} stays as it is: ${why}`);
    return await passThrough(why, layer, options);
  }
}

async function passThrough(
  reason: string,
  layer: IdentifiedLayer,
  { conversion, progress, signal }: CarryOutOptions,
): Promise<LayerOutcome> {
  const { source, destination } = conversion;
  const onBytes = (size: number): void => progress.add({ bytesIn: size, bytesOut: size });
  const transfer = await passBlob(layer.descriptor, { source, destination, signal, onBytes });
  return { action: "passed-through", transfer, reason, diffId: layer.diffId };
}

interface ReportFacts {
  readonly outcome: LayerOutcome;
  readonly descriptor: Descriptor;
  readonly reused: boolean;
  readonly durationMs: number;
}

function reportOf(layer: IdentifiedLayer, facts: ReportFacts): LayerConversion {
  const { outcome, descriptor, reused, durationMs } = facts;
  const old = layer.descriptor;
  return {
    index: layer.index,
    action: reused ? "reused" : outcome.action,
    transfer: reused ? "none" : outcome.transfer,
    reason: reused ? `the same as a layer before, which was: ${outcome.reason}` : outcome.reason,
    oldDigest: old.digest,
    newDigest: descriptor.digest,
    oldSize: old.size,
    newSize: descriptor.size,
    ratio: old.size === 0 ? 1 : descriptor.size / old.size,
    oldDiffId: layer.diffId,
    newDiffId: outcome.diffId,
    ...(outcome.tocDigest === undefined ? {} : { tocDigest: outcome.tocDigest }),
    durationMs,
  };
}
