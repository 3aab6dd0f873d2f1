/**
 * Where the table of contents of a seekable layer lies, as a descriptor's annotation says it.
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

/** The annotation's text: `OFFSET/SIZE`, both decimal. */
export function formatTocPlace({ offset, blobSize }: TocPlace): string {
  return `${offset}/${blobSize}`;
}

/** Reads the annotation's text; undefined if it is none, or no place in a blob. */
export function parseTocPlace(text: string | undefined): TocPlace | undefined {
  const found = /^(?<offset>\d{1,15})\/(?<size>\d{1,15})$/.exec(text ?? "")?.groups;
  if (found === undefined) return undefined;
  const place = { offset: Number(found["offset"]), blobSize: Number(found["size"]) };
  return place.offset < place.blobSize ? place : undefined;
}
