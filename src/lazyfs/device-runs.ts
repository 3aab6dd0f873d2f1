/**
 * Where a file's bytes lie on data devices.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import type { ErofsReader } from "../erofs/index.ts";

/** A run of a file's bytes on a data device. */
export interface DeviceRun {
  /** The device, counted from 0. */
  readonly device: number;
  /** Where it begins in the file. */
  readonly fileOffset: number;
  /** Of the device. */
  readonly range: ByteRange;
}

/**
 * The runs of a range of a file; holes are left out.
 *
 * @throws {EsgzError} `EROFS_INVALID`
 */
export function* deviceRuns(
  reader: ErofsReader,
  nid: number,
  { offset, size }: ByteRange,
): Generator<DeviceRun, void, undefined> {
  const end = offset + size;
  for (let at = offset; at < end;) {
    const run = reader.runAt(nid, at);
    if (run === undefined || run.size <= 0) return;
    const length = Math.min(run.size, end - at);
    if (run.kind === "device") {
      const range = { offset: run.deviceOffset, size: length };
      yield { device: run.device, fileOffset: at, range };
    }
    at += length;
  }
}
