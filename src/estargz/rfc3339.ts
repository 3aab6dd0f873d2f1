/**
 * Times as the TOC writes them: RFC 3339, with a fraction where there is one.
 *
 * @module
 */
import type { Timestamp } from "../tar/index.ts";

/** 1970-01-01T00:00:00Z. */
export const UNIX_EPOCH: Timestamp = { seconds: 0, nanoseconds: 0 };

const TIME = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))$/;
/** Go's zero time, which its encoders write for "unknown". */
const GO_ZERO_SECONDS = -62_135_596_800;
/** The first and last second that four digits of year can say (the first is Go's zero time and means "unknown"). */
const MIN_SECONDS = GO_ZERO_SECONDS + 1;
const MAX_SECONDS = 253_402_300_799;
const SECONDS_PER_DAY = 86_400;

/** Parses an RFC 3339 time; undefined if it is not one. Go's zero time becomes the epoch, as an absent time does. */
export function parseRfc3339(text: string): Timestamp | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  const inRange =
    month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour <= 23 && minute <= 59 && second <= 60;
  if (!inRange) return undefined;
  const offset = (part(9) * 60 + part(10)) * 60 * (match[8] === "-" ? -1 : 1);
  const days = daysFromCivil(year, month, day);
  const seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
  if (seconds === GO_ZERO_SECONDS) return UNIX_EPOCH;
  const fraction = match[7];
  return { seconds, nanoseconds: fraction === undefined ? 0 : Number(fraction.padEnd(9, "0")) };
}

/**
 * Writes a time as RFC 3339 in UTC; the fraction has no trailing zeros and is left out when there is none. What four
 * digits of year cannot say becomes the nearest time that they can.
 */
export function formatRfc3339(time: Timestamp): string {
  const seconds = Math.min(Math.max(time.seconds, MIN_SECONDS), MAX_SECONDS);
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  if (time.nanoseconds === 0 || seconds !== time.seconds) return `${whole}Z`;
  return `${whole}.${String(time.nanoseconds).padStart(9, "0").replace(/0+$/, "")}Z`;
}

/** Whether {@linkcode formatRfc3339} writes exactly this time. */
export function isRfc3339Time({ seconds }: Timestamp): boolean {
  return seconds >= MIN_SECONDS && seconds <= MAX_SECONDS;
}

/** Days from 1970-01-01 to a date of the Gregorian calendar; eras of 400 years keep it exact for every year. */
function daysFromCivil(year: number, month: number, day: number): number {
  const shifted = month <= 2 ? year - 1 : year;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
