/**
 * Values of options, checked as they are parsed.
 *
 * @module
 */
import { InvalidArgumentError } from "commander";

const SIZE = /^(\d+)(?:([kKmMgG])(i?)[bB]?)?$/;
const POWERS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3 };

/** A number of bytes: `65536`, `64KiB`, `64Ki`, `4M` (decimal without the i). */
export function parseSize(text: string): number {
  const match = SIZE.exec(text);
  if (match === null)
    throw new InvalidArgumentError("expected a number of bytes such as 65536, 64KiB or 4MB");
  const [, digits = "", unit, binary] = match;
  const base = binary === "i" ? 1024 : 1000;
  const bytes = Number(digits) * (unit === undefined ? 1 : base ** (POWERS[unit.toLowerCase()] ?? 0));
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError("expected a smaller number");
  return bytes;
}

/** A whole number, zero or more. */
export function parseWhole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("expected a whole number");
  return Number(text);
}

/** A number of requests in flight, 1 to 128. */
export function parseConnections(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 128) throw new InvalidArgumentError("expected a number from 1 to 128");
  return count;
}
