/**
 * The `manifest.json` of a docker archive.
 *
 * @module
 */
import * as v from "valibot";
import { EsgzError, messageOf } from "../errors/index.ts";
import { formatReference, type ImageReference, parseReference } from "../oci/index.ts";

/** The file that lists an archive's images. */
export const ARCHIVE_MANIFEST = "manifest.json";

/** One image of a docker archive: members by name. */
export interface DockerArchiveImage {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null | undefined;
  /** Base layer first. */
  readonly Layers: readonly string[];
}

const ImagesSchema = v.array(
  v.looseObject({
    Config: v.string(),
    RepoTags: v.nullish(v.array(v.string())),
    Layers: v.nullish(v.array(v.string()), []),
  }),
);

/**
 * Parses the list of images.
 *
 * @throws {EsgzError} `MANIFEST_INVALID`
 */
export function parseArchiveManifest(bytes: Uint8Array): readonly DockerArchiveImage[] {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    return v.parse(ImagesSchema, value).map((image) => ({ ...image, Layers: image.Layers ?? [] }));
  } catch (cause) {
    throw new EsgzError("MANIFEST_INVALID", `Cannot read ${ARCHIVE_MANIFEST}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

/** The image that a name chooses: by reference, by position, or the only one. */
export function chooseArchiveImage(
  images: readonly DockerArchiveImage[],
  choice: { readonly reference?: ImageReference | undefined; readonly sourceIndex?: number | undefined },
): DockerArchiveImage | undefined {
  const { reference, sourceIndex } = choice;
  if (sourceIndex !== undefined) return images[sourceIndex];
  if (reference === undefined) return images.length === 1 ? images[0] : undefined;
  const wanted = formatReference(reference);
  return images.find((image) => (image.RepoTags ?? []).some((tag) => normalized(tag) === wanted));
}

function normalized(tag: string): string | undefined {
  try {
    return formatReference(parseReference(tag));
  } catch {
    return undefined;
  }
}
