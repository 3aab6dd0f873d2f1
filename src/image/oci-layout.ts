/**
 * The OCI image layout on disk, as far as reading and writing share it.
 *
 * | path | content |
 * | --- | --- |
 * | `oci-layout` | `{"imageLayoutVersion":"1.0.0"}` |
 * | `index.json` | an image index; an entry's `org.opencontainers.image.ref.name` is its tag |
 * | `blobs/ALGORITHM/HEX` | every blob and manifest |
 *
 * Source: OCI image specification 1.1, image-layout.md.
 *
 * @module
 */
import { join } from "node:path";
import { EsgzError } from "../errors/index.ts";
import {
  algorithmOf,
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  hexOf,
  type ImageIndex,
  parseIndex,
} from "../oci/index.ts";
import { readSmallFile } from "./read-small-file.ts";

/** The file that marks a layout. */
export const LAYOUT_MARKER = "oci-layout";
/** The file that lists a layout's images. */
export const LAYOUT_INDEX = "index.json";
/** What the marker file says. */
export const LAYOUT_MARKER_TEXT = '{"imageLayoutVersion":"1.0.0"}';

/** Where a blob lies in a layout. A parsed digest is safe as a path. */
export function layoutBlobPath(directory: string, digest: Digest): string {
  return join(directory, "blobs", algorithmOf(digest), hexOf(digest));
}

/**
 * Reads a layout's index.
 *
 * @throws {EsgzError} `IMAGE_NOT_FOUND` if the directory is no layout; `MANIFEST_INVALID`; `IO_FAILED`
 */
export async function readLayoutIndex(directory: string): Promise<ImageIndex> {
  return parseIndex(await readSmallFile(join(directory, LAYOUT_INDEX)));
}

/** The tag of an entry in a layout's index. */
export function layoutTagOf(entry: Descriptor): string | undefined {
  const name = entry.annotations?.[ANNOTATIONS.refName];
  return name === "" ? undefined : name;
}

/**
 * The entries that a tag names; without a tag, those without a name, or all if every entry has one.
 * Entries of one digest count once.
 */
export function findLayoutEntries(index: ImageIndex, tag: string | undefined): readonly Descriptor[] {
  const entries = index.manifests ?? [];
  const named = entries.filter((entry) => layoutTagOf(entry) === tag);
  const found = tag === undefined && named.length === 0 ? entries : named;
  return [...new Map(found.map((entry) => [entry.digest, entry])).values()];
}

/** The descriptor of an entry without the annotations that are the layout's own (its names). */
export function withoutLayoutNames(entry: Descriptor): Descriptor {
  const { annotations, ...rest } = entry;
  const kept = Object.entries(annotations ?? {}).filter(
    ([key]) => key !== ANNOTATIONS.refName && key !== ANNOTATIONS.containerdImageName,
  );
  return kept.length === 0 ? rest : { ...rest, annotations: Object.fromEntries(kept) };
}

/** The error for a layout without the image. */
export function layoutEntryMissing(directory: string, tag: string | undefined, index: ImageIndex): EsgzError {
  const tags = (index.manifests ?? []).map((entry) => layoutTagOf(entry) ?? entry.digest);
  const wanted = tag === undefined ? "exactly one image, or a tag" : `the tag "${tag}"`;
  return new EsgzError(
    "IMAGE_NOT_FOUND",
    `Cannot find image in OCI layout "${directory}": expected ${wanted}, got ${tags.join(", ") || "none"}`,
  );
}
