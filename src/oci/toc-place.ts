/**
 * Where the tables of contents of seekable layers lie, as the annotation of a layer's descriptor says it: of this layer, and of those
 * above it in its image.
 *
 * ```text
 * "70200883/70654883,193118501/193594336,11350829/11457391"
 *  OFFSET   SIZE
 * ```
 *
 * @module
 */

/** A hint: the layer's footer decides. */
export interface TocPlace {
  /** Of the table in the blob, in bytes. */
  readonly offset: number;
  /** Of the whole blob, in bytes: who has only the annotation, as a snapshotter has, knows no other. */
  readonly blobSize: number;
}

/** A label of containerd takes 4096 bytes with its key, and these some 20 each. */
const MAX_PLACES = 100;

/** The annotation's text; of a long list, its beginning. */
export function formatTocPlaces(places: readonly TocPlace[]): string {
  return places
    .slice(0, MAX_PLACES)
    .map(({ offset, blobSize }) => `${offset}/${blobSize}`)
    .join(",");
}

/** Reads the annotation's text: this layer's place, and those above it, as far as there are some that can be. */
export function parseTocPlaces(text: string | undefined): readonly TocPlace[] {
  const places: TocPlace[] = [];
  for (const part of (text ?? "").split(",", MAX_PLACES)) {
    const place = parsePlace(part);
    if (place === undefined) break;
    places.push(place);
  }
  return places;
}

function parsePlace(text: string): TocPlace | undefined {
  const found = /^(?<offset>\d{1,15})\/(?<size>\d{1,15})$/.exec(text)?.groups;
  if (found === undefined) return undefined;
  const place = { offset: Number(found["offset"]), blobSize: Number(found["size"]) };
  return place.offset < place.blobSize ? place : undefined;
}
