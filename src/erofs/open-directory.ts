/**
 * What is known of a directory while images are merged.
 *
 * @module
 */

/** A directory in one image. */
export interface LayerPart {
  readonly layer: number;
  readonly nid: number;
  /** Whether only its attributes count: what is in it is hidden. */
  readonly hidden: boolean;
  readonly implied: boolean;
}

/** A directory of the result, while it is being gathered. */
export class OpenDirectory {
  /** From the uppermost layer down. */
  readonly parts: LayerPart[] = [];
  /** No lower layer adds to the content. */
  opaque = false;
  /** No lower layer adds anything. */
  closed = false;
  /** Its number and that of the directory that it is in. */
  own = 0;
  parent = 0;
}

/** A name in a directory that several layers have. */
export interface Slot {
  /** The name, a unit for each byte: such text sorts as bytes do. */
  readonly text: string;
  readonly layer: number;
  readonly nid: number;
  readonly type: number;
  readonly start: number;
  readonly end: number;
  /** What lower layers may still add to; undefined: nothing. */
  readonly open: OpenDirectory | undefined;
}

/** Reverses what a stack has from an index on. */
export function reverseTail(directories: OpenDirectory[], from: number): void {
  if (directories.length - from < 2) return;
  const tail = directories.splice(from);
  for (const directory of tail.reverse()) directories.push(directory);
}
