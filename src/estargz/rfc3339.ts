/**
 * Times as the TOC writes them: RFC 3339, with a fraction where there is one.
 *
 * @module
 */
import type { Timestamp } from "../tar/index.ts";

/** 1970-01-01T00:00:00Z. */
export const UNIX_EPOCH: Timestamp = { seconds: 0, nanoseconds: 0 };

/** Go's zero time, which its encoders write for "unknown". */
const GO_ZERO_SECONDS = -62_135_596_800;
/** The first and last second that four digits of year can say (the first is Go's zero time and means "unknown"). */
const MIN_SECONDS = GO_ZERO_SECONDS + 1;
const MAX_SECONDS = 253_402_300_799;
const SECONDS_PER_DAY = 86_400;

/** Parses an RFC 3339 time; undefined if it is not one. Go's zero time becomes the epoch, as an absent time does. */
export function parseRfc3339(text: string): Timestamp | undefined {
  const time = secondsOf(text);
  const zoneAt = endOfFraction(text);
  const offset = offsetOf(text, zoneAt);
  if (time === undefined || offset === undefined) return undefined;
  const seconds = time - offset;
  if (seconds === GO_ZERO_SECONDS) return UNIX_EPOCH;
  return { seconds, nanoseconds: zoneAt === FRACTION_AT ? 0 : nanosecondsOf(text, zoneAt) };
}

/** Where the fraction of `2023-11-14T22:13:20.5Z` begins, or the zone if there is none. */
const FRACTION_AT = 19;
const DOT = 0x2e;
const COLON = 0x3a;
const HYPHEN = 0x2d;

/** The date and time in front of fraction and zone, as if it were UTC. */
function secondsOf(text: string): number | undefined {
  const isShaped =
    text.charCodeAt(4) === HYPHEN &&
    text.charCodeAt(7) === HYPHEN &&
    isLetter(text, 10, "T") &&
    text.charCodeAt(13) === COLON &&
    text.charCodeAt(16) === COLON;
  const year = numberAt(text, 0, 4);
  const month = numberAt(text, 5, 7);
  const day = numberAt(text, 8, 10);
  const hour = numberAt(text, 11, 13);
  const minute = numberAt(text, 14, 16);
  const second = numberAt(text, 17, 19);
  const inRange =
    year >= 0 &&
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= 31 &&
    hour >= 0 &&
    hour <= 23 &&
    minute >= 0 &&
    minute <= 59 &&
    second >= 0 &&
    second <= 60;
  if (!isShaped || !inRange) return undefined;
  return daysFromCivil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
}

/** Behind the dot and its digits; where they would begin if there is none. */
function endOfFraction(text: string): number {
  if (text.charCodeAt(FRACTION_AT) !== DOT) return FRACTION_AT;
  let at = FRACTION_AT + 1;
  while (isDigit(text.charCodeAt(at))) at += 1;
  return at;
}

/** Digits beyond the ninth do not count. */
function nanosecondsOf(text: string, end: number): number {
  const digits = Math.min(end - FRACTION_AT - 1, 9);
  return numberAt(text, FRACTION_AT + 1, FRACTION_AT + 1 + digits) * 10 ** (9 - digits);
}

/** How many seconds the zone is ahead of UTC; undefined if there is no zone, or something behind it. */
function offsetOf(text: string, at: number): number | undefined {
  // A dot that no digit follows.
  if (at === FRACTION_AT + 1) return undefined;
  if (isLetter(text, at, "Z")) return text.length === at + 1 ? 0 : undefined;
  const sign = text[at] === "+" ? 1 : text[at] === "-" ? -1 : 0;
  const hours = numberAt(text, at + 1, at + 3);
  const minutes = numberAt(text, at + 4, at + 6);
  const isZone = sign !== 0 && hours >= 0 && minutes >= 0 && text.charCodeAt(at + 3) === COLON;
  return isZone && text.length === at + 6 ? sign * (hours * 60 + minutes) * 60 : undefined;
}

/** A number of decimal digits; -1 if one of them is none. */
function numberAt(text: string, start: number, end: number): number {
  let number = 0;
  for (let at = start; at < end; at += 1) {
    const code = text.charCodeAt(at);
    if (!isDigit(code)) return -1;
    number = number * 10 + code - 0x30;
  }
  return number;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** In either case, as the format allows. */
function isLetter(text: string, at: number, letter: "T" | "Z"): boolean {
  return text[at] === letter || text[at] === letter.toLowerCase();
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
