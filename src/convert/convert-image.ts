/**
 * Converting an image from one place to another.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { ImageDestination, ImageSource } from "../image/index.ts";
import { formatPlatform, isIndexMediaType, matchesPlatform, type ManifestContent } from "../oci/index.ts";
import { type Conversion, createConversion } from "./conversion.ts";
import { convertIndex, type ConvertedRoot } from "./convert-index.ts";
import { convertManifest } from "./convert-manifest.ts";
import { type ConvertOptions, type ConvertSettings, resolveOptions } from "./convert-options.ts";
import type { ConvertReport } from "./convert-report.ts";
import { TocImage } from "./toc-image.ts";

/**
 * Reads an image (or an index of images), writes its layers in another format and publishes the result.
 *
 * Layers stream: none is held in memory, and uploads begin while compression goes on. The blobs do not depend on
 * `jobs`. The destination's name appears in the last step; when the signal fires or anything fails before, uploads are
 * cancelled, temporary files are gone and the name is as it was. The caller disposes source and destination.
 *
 * @throws {EsgzError} `USAGE_INVALID` or `NOT_SUPPORTED` for options that cannot be met (nothing was read then);
 * `PLATFORM_NOT_FOUND`; `MANIFEST_INVALID`; `TAR_INVALID`, `COMPRESSION_INVALID`, `DIGEST_MISMATCH` for layers that are not
 * what they claim; codes of the media. With an aborted signal it rejects with the signal's reason.
 */
export async function convertImage(
  source: ImageSource,
  destination: ImageDestination,
  options: ConvertOptions,
): Promise<ConvertReport> {
  const settings = resolveOptions(options);
  assertHolds(destination, settings);
  const { clock } = settings;
  const startMs = clock.nowMs();
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  await using tocDestination = settings.externalToc ? await settings.openTocDestination?.() : undefined;
  const tocImage = tocDestination === undefined ? undefined : new TocImage(tocDestination);
  const conversion = createConversion(source, destination, { settings, tocImage });
  const root = await convertRoot(await source.fetchRoot({ signal }), { conversion, signal });
  warnOfUnmatched(conversion);
  signal.throwIfAborted();
  // The TOCs first: whoever finds the image must find them.
  const tocRoot =
    tocImage === undefined || tocImage.size === 0 ? undefined : await tocImage.publish({ signal });
  await destination.publish(root.descriptor, { signal });
  return {
    root: root.descriptor,
    images: root.images,
    ...(tocImage === undefined || tocRoot === undefined
      ? {}
      : { tocImage: { name: tocImage.name, root: tocRoot } }),
    warnings: conversion.warnings,
    durationMs: clock.nowMs() - startMs,
  };
}

/** Docker archives hold plain tars: what makes a layer seekable would be lost without a word. */
function assertHolds({ kind, name }: ImageDestination, { seekable, format }: ConvertSettings): void {
  if (!seekable || kind !== "docker-archive") return;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot write "${name}": expected a medium that keeps ${format} layers, got a docker archive, which holds plain tars`,
  );
}

async function convertRoot(
  content: ManifestContent,
  { conversion, signal }: { readonly conversion: Conversion; readonly signal: AbortSignal },
): Promise<ConvertedRoot> {
  if (isIndexMediaType(content.descriptor.mediaType))
    return await convertIndex(content, { conversion, signal });
  const { descriptor, report, platform } = await convertManifest(content, { conversion, signal });
  const { platforms } = conversion.settings;
  if (
    platform !== undefined &&
    platforms.length > 0 &&
    !platforms.some((wanted) => matchesPlatform(wanted, platform))
  ) {
    conversion.warnings.push(
      `the image is for ${formatPlatform(platform)} and has no others; asked for ${platforms.map(formatPlatform).join(", ")}`,
    );
  }
  return { descriptor, images: [report] };
}

function warnOfUnmatched({ globs, matched, warnings }: Conversion): void {
  const missing = new Set(globs.map(({ pattern }) => pattern).filter((pattern) => !matched.has(pattern)));
  for (const pattern of missing) warnings.push(`prioritized "${pattern}" is in no layer`);
}
