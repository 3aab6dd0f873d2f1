/**
 * Where the bytes of a file lie on the data device.
 *
 * A file is one run, holes included, for the device is sparse and an inode with one run is small. Only holes that are large
 * for their file are left out: otherwise a file such as `/var/log/lastlog`, of a terabyte with a few bytes in it, would make a
 * device of which even the bitmaps are large.
 *
 * @module
 */
import type { DevicePlan, ErofsExtent } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";

/** A run of bytes of a file that are stored. */
export interface StoredRun {
  /** Where it begins in the file. */
  readonly offset: number;
  readonly size: number;
}

/** The largest data device of a layer, in bytes: its bitmap in memory has 32 MiB. */
const MAX_LAYER_SIZE = 2 ** 40;
/** Holes begin and end at multiples of this or more, so that the runs between them take few chunk indexes. */
const MIN_HOLE_UNIT = 1 << 20;
/** The most chunk indexes that holes make necessary, 8 bytes each. */
const MAX_HOLE_INDEXES = 65_536;

/** The places of one file. */
export class PlacedFile {
  /** For the inode; none for a file without stored bytes. */
  readonly extents: readonly ErofsExtent[];
  #extent = 0;

  /** See {@linkcode placeFile}. */
  constructor(extents: readonly ErofsExtent[]) {
    this.extents = extents;
  }

  /** The place on the device of a stored byte; to be asked in the order of the file. */
  placeOf(fileOffset: number): number {
    for (;;) {
      const extent = this.extents[this.#extent];
      if (extent === undefined)
        throw new EsgzError("INTERNAL", "Cannot place bytes: expected a place, got none");
      if (fileOffset < extent.fileOffset + extent.size) {
        return extent.deviceOffset + fileOffset - extent.fileOffset;
      }
      this.#extent += 1;
    }
  }
}

/**
 * Gives a file its places, behind those of the file before.
 *
 * @param stored in the order of the file, at least 1 byte each; what they leave out reads as zeros
 * @throws {EsgzError} `LIMIT_EXCEEDED` for a device of more than 1 TiB
 */
export function placeFile(
  plan: DevicePlan,
  file: { readonly size: number; readonly stored: readonly StoredRun[] },
): PlacedFile {
  return new PlacedFile(runsOf(file).map((run) => placeRun(plan, run)));
}

/**
 * Gives a run of a file a place.
 *
 * @throws {EsgzError} `LIMIT_EXCEEDED` for a device of more than 1 TiB
 */
export function placeRun(plan: DevicePlan, { offset, size }: StoredRun): ErofsExtent {
  if (plan.size + size > MAX_LAYER_SIZE) throw tooLarge(plan.size + size);
  return { fileOffset: offset, size, device: 0, deviceOffset: plan.place(size) };
}

/** The runs between the holes that are left out. */
function runsOf({
  size,
  stored,
}: {
  readonly size: number;
  readonly stored: readonly StoredRun[];
}): StoredRun[] {
  const [first] = stored;
  if (first === undefined) return [];
  if (first.offset === 0 && first.size === size) return [first];
  const unit = holeUnit(size);
  const runs: StoredRun[] = [];
  let start = floorTo(first.offset, unit);
  let end = start;
  for (const { offset, size: length } of stored) {
    const holeStart = ceilTo(end, unit);
    const holeEnd = floorTo(offset, unit);
    if (holeStart < holeEnd) {
      if (end > start) runs.push({ offset: start, size: holeStart - start });
      start = holeEnd;
    }
    end = offset + length;
  }
  runs.push({ offset: start, size: Math.min(size, ceilTo(end, unit)) - start });
  return runs;
}

/** A power of two. */
function holeUnit(size: number): number {
  let unit = MIN_HOLE_UNIT;
  while (unit * MAX_HOLE_INDEXES < size) unit *= 2;
  return unit;
}

function floorTo(value: number, unit: number): number {
  return Math.floor(value / unit) * unit;
}

function ceilTo(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function tooLarge(found: number): EsgzError {
  return new EsgzError(
    "LIMIT_EXCEEDED",
    `Cannot lay out layer: expected at most ${MAX_LAYER_SIZE} bytes of files, got ${found}`,
    { details: { limit: MAX_LAYER_SIZE, found } },
  );
}
