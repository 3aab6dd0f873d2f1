/**
 * Sizes and durations as people write them.
 *
 * | text | value |
 * | --- | --- |
 * | `4096`, `"4096"` | 4096 bytes |
 * | `"64KiB"`, `"8MiB"`, `"20GiB"`, `"1TiB"` | powers of 1024; `K`, `M`, `G`, `T` mean the same |
 * | `"1kB"`, `"1MB"`, `"1GB"`, `"1TB"` | powers of 1000 |
 * | `"250ms"`, `"30s"`, `"5m"`, `"2h"` | durations; a number counts seconds |
 *
 * @module
 */

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  K: 2 ** 10,
  KiB: 2 ** 10,
  M: 2 ** 20,
  MiB: 2 ** 20,
  G: 2 ** 30,
  GiB: 2 ** 30,
  T: 2 ** 40,
  TiB: 2 ** 40,
  kB: 1e3,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

const MS_UNITS: Readonly<Record<string, number>> = { ms: 1, "": 1000, s: 1000, m: 60_000, h: 3_600_000 };

/** Parses a size in bytes; undefined if it is none. */
export function parseByteSize(value: string | number): number | undefined {
  return parseQuantity(value, BYTE_UNITS);
}

/** Parses a duration in milliseconds; undefined if it is none. */
export function parseDurationMs(value: string | number): number | undefined {
  return parseQuantity(value, MS_UNITS);
}

function parseQuantity(value: string | number, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,16}(?:\.\d{1,6})?) ?([A-Za-z]{0,3})$/.exec(String(value));
  const unit = units[match?.[2] ?? "?"];
  if (match === null || unit === undefined) return undefined;
  const quantity = Math.round(Number(match[1]) * unit);
  return Number.isSafeInteger(quantity) ? quantity : undefined;
}
