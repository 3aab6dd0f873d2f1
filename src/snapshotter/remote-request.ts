/**
 * From the labels of a Prepare call to the layer it is about.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import { type Digest, isDigest, parseReference, parseTocPlaces, type TocPlace } from "../oci/index.ts";
import { SKIP_VERIFY_LABEL, SOURCE_LABELS, TOC_DIGEST_LABEL, TOC_PLACES_LABEL } from "./label-keys.ts";
import type { RemoteRequest } from "./remote-layers.ts";
import type { Labels } from "./snapshot.ts";

/** When content may be shown that nothing proves. The default is never. */
export interface VerificationPolicy {
  /** Nothing is verified. */
  readonly disabled?: boolean | undefined;
  /** A client may ask for a layer without a known table of contents to be shown unverified, by its skip label. */
  readonly allowSkipping?: boolean | undefined;
}

/** A request, or the reason why there is none. */
export type ParsedRequest =
  | { readonly request: Omit<RemoteRequest, "signal"> }
  | { readonly reason: string; readonly reference?: string; readonly digest?: Digest };

/** Reads the labels: those of the CRI where they are complete, else those of the default source. Pure. */
export function parseRemoteRequest(labels: Labels, policy: VerificationPolicy): ParsedRequest {
  const source = SOURCE_LABELS.find((keys) => has(labels, keys.reference) && has(labels, keys.digest));
  if (source === undefined) return { reason: "its labels name no image reference and layer digest" };
  const reference = labels[source.reference] ?? "";
  const digest = labels[source.digest];
  if (!isDigest(digest)) return { reason: `its label ${source.digest} is no digest`, reference };
  const toc = labels[TOC_DIGEST_LABEL];
  const hasToc = toc !== undefined && toc !== "";
  if (hasToc && !isDigest(toc))
    return { reason: `its label ${TOC_DIGEST_LABEL} is no digest`, reference, digest };
  const manifest = manifestOf(reference, source.manifest === undefined ? undefined : labels[source.manifest]);
  if ("reason" in manifest) return { ...manifest, reference, digest };
  const imageLayers = digestsIn(labels[source.layers], digest);
  const skipAsked = labels[SKIP_VERIFY_LABEL] !== undefined && policy.allowSkipping === true && !hasToc;
  return {
    request: {
      reference,
      digest,
      ...(hasToc ? { tocDigest: toc } : {}),
      tocPlaces: placesOf(imageLayers.slice(imageLayers.indexOf(digest)), labels[TOC_PLACES_LABEL]),
      ...manifest,
      imageLayers,
      skipVerify: policy.disabled === true || skipAsked,
      labels,
    },
  };
}

function has(labels: Labels, key: string): boolean {
  return (labels[key] ?? "") !== "";
}

/** The label's digest, or that in the reference. */
function manifestOf(
  reference: string,
  label: string | undefined,
): { manifest?: Digest } | { reason: string } {
  try {
    const { digest } = parseReference(reference);
    if (isDigest(label)) return { manifest: label };
    return digest === undefined ? {} : { manifest: digest };
  } catch (error) {
    if (isEsgzError(error)) return { reason: error.message };
    throw error;
  }
}

/** The label goes on like the list of layers. */
function placesOf(layers: readonly Digest[], label: string | undefined): ReadonlyMap<Digest, TocPlace> {
  const places = new Map<Digest, TocPlace>();
  for (const [at, place] of parseTocPlaces(label).entries()) {
    const digest = layers[at];
    if (digest !== undefined) places.set(digest, place);
  }
  return places;
}

/** The list begins with the layer itself; what is no digest was cut. */
function digestsIn(list: string | undefined, own: Digest): Digest[] {
  const others = (list ?? "").split(",").filter(isDigest);
  return others.includes(own) ? others : [own, ...others];
}
