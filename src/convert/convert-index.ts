/**
 * Converting the images of an index.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type ManifestContent,
  parseIndex,
  selectPlatform,
} from "../oci/index.ts";
import type { Conversion } from "./conversion.ts";
import { convertManifest } from "./convert-manifest.ts";
import type { ImageConversion } from "./convert-report.ts";
import {
  ATTESTED_DIGEST,
  familyOf,
  isPlatformImage,
  replacedEntry,
  retargetedEntry,
  rewriteIndex,
} from "./image-rewrite.ts";
import { passEntry } from "./pass-manifest.ts";

/** What converting an index takes. */
export interface ConvertIndexOptions {
  readonly conversion: Conversion;
  readonly signal: AbortSignal;
}

/** What the final name will point to. */
export interface ConvertedRoot {
  readonly descriptor: Descriptor;
  readonly images: readonly ImageConversion[];
}

/**
 * Converts the chosen images of an index.
 *
 * With all platforms, the result is an index with the same entries in the same order: images converted, everything else
 * byte for byte. With some, it is an index of those and their attestations; with one, the image's own manifest. The
 * annotation that says which image an attestation is about follows that image to its new digest; the statement inside
 * the attestation still names the digest that was built, which is the truth about the build.
 */
export async function convertIndex(
  content: ManifestContent,
  options: ConvertIndexOptions,
): Promise<ConvertedRoot> {
  const { allPlatforms } = options.conversion.settings;
  const entries = parseIndex(content.bytes).manifests ?? [];
  const chosen = chooseEntries(entries, options.conversion);
  const [only] = chosen;
  if (!allPlatforms && chosen.size === 1 && only !== undefined) {
    warnOfDropped(entries, { kept: chosen, conversion: options.conversion });
    const { descriptor, report } = await convertEntry(only, options);
    return { descriptor, images: [report] };
  }
  const kept = allPlatforms ? new Set(entries) : withAttestations(entries, chosen);
  warnOfDropped(entries, { kept, conversion: options.conversion });
  return await convertEntries([...kept], { ...options, content, chosen });
}

interface ConvertEntriesOptions extends ConvertIndexOptions {
  readonly content: ManifestContent;
  readonly chosen: ReadonlySet<Descriptor>;
}

async function convertEntries(
  entries: readonly Descriptor[],
  options: ConvertEntriesOptions,
): Promise<ConvertedRoot> {
  const { conversion, signal, content, chosen } = options;
  const images: ImageConversion[] = [];
  const manifests: Descriptor[] = [];
  const digests = new Map<string, Digest>();
  for (const entry of entries) {
    if (chosen.has(entry)) {
      const { descriptor, report } = await convertEntry(entry, options);
      images.push(report);
      digests.set(entry.digest, descriptor.digest);
      manifests.push(replacedEntry(entry, descriptor));
    } else {
      await passEntry(entry, { conversion, signal, depth: 1 });
      images.push(passedReport(entry));
      manifests.push(entry);
    }
  }
  const family = conversion.settings.mediaTypes ?? familyOf(content.descriptor.mediaType);
  const retargeted = manifests.map((entry) => retargetedEntry(entry, digests));
  const rewritten = rewriteIndex(content.bytes, { manifests: retargeted, family });
  return { descriptor: await conversion.destination.writeManifest(rewritten, { signal }), images };
}

async function convertEntry(
  entry: Descriptor,
  { conversion, signal }: ConvertIndexOptions,
): Promise<{ readonly descriptor: Descriptor; readonly report: ImageConversion }> {
  const content = await conversion.source.fetchManifest(entry, { signal });
  return await convertManifest(content, { conversion, platform: entry.platform, signal });
}

/** @throws {EsgzError} `PLATFORM_NOT_FOUND`; `USAGE_INVALID` if nothing says which of several images is meant. */
function chooseEntries(entries: readonly Descriptor[], { settings }: Conversion): Set<Descriptor> {
  const images = entries.filter(isPlatformImage);
  if (settings.allPlatforms || (settings.platforms.length === 0 && images.length === 1))
    return new Set(images);
  if (settings.platforms.length > 0) {
    const wanted = new Set(settings.platforms.map((platform) => selectPlatform(images, platform)));
    return new Set(images.filter((entry) => wanted.has(entry)));
  }
  const offered = images.map(({ platform }) =>
    platform === undefined ? "unknown" : formatPlatform(platform),
  );
  throw new EsgzError(
    "USAGE_INVALID",
    `Cannot convert image: expected one of its platforms or all, got none of ${offered.join(", ") || "none"}`,
  );
}

function withAttestations(entries: readonly Descriptor[], chosen: ReadonlySet<Descriptor>): Set<Descriptor> {
  const digests = new Set([...chosen].map(({ digest }): string => digest));
  return new Set(
    entries.filter((entry) => chosen.has(entry) || digests.has(entry.annotations?.[ATTESTED_DIGEST] ?? "")),
  );
}

function warnOfDropped(
  entries: readonly Descriptor[],
  { kept, conversion }: { readonly kept: ReadonlySet<Descriptor>; readonly conversion: Conversion },
): void {
  const dropped = entries.filter((entry) => !kept.has(entry) && !isPlatformImage(entry)).length;
  if (dropped === 0) return;
  conversion.warnings.push(
    `${dropped} of ${entries.length} index entries are no images (attestations or others) and were left out; all platforms would keep them`,
  );
}

function passedReport(entry: Descriptor): ImageConversion {
  const kind = entry.annotations?.["vnd.docker.reference.type"] ?? entry.artifactType ?? entry.mediaType;
  return {
    action: "passed-through",
    reason: `not a container image: ${kind}`,
    ...(entry.platform === undefined ? {} : { platform: formatPlatform(entry.platform) }),
    oldDigest: entry.digest,
    newDigest: entry.digest,
    layers: [],
  };
}
