/**
 * Times in PAX records: decimal seconds with any number of digits behind the point, negative before 1970.
 *
 * @module
 */
import type { Timestamp } from "./tar-entry.ts";

const NANOSECONDS = 1_000_000_000;
const TIME = /^(-?)(\d{1,16})(?:\.(\d*))?$/u;

/** The time that a record's text means, rounded down to the nanosecond; undefined if it is none. */
export function decodePaxTime(text: string): Timestamp | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = ""] = match;
  const seconds = Number(whole);
  if (!Number.isSafeInteger(seconds)) return undefined;
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (sign !== "-") return { seconds, nanoseconds };
  const roundUp = /[1-9]/u.test(fraction.slice(9)) ? 1 : 0;
  return fromNegative(seconds, nanoseconds + roundUp);
}

/** The time of -(seconds + nanoseconds). */
function fromNegative(seconds: number, nanoseconds: number): Timestamp {
  if (nanoseconds === 0) return { seconds: seconds === 0 ? 0 : -seconds, nanoseconds: 0 };
  return { seconds: -seconds - 1, nanoseconds: NANOSECONDS - nanoseconds };
}

/** The text of a time, without zeros at the end of its fraction. */
export function encodePaxTime(time: Timestamp): string {
  const { seconds, nanoseconds } = time;
  if (nanoseconds === 0) return String(seconds);
  if (seconds >= 0) return `${seconds}.${fraction(nanoseconds)}`;
  return `-${-(seconds + 1)}.${fraction(NANOSECONDS - nanoseconds)}`;
}

function fraction(nanoseconds: number): string {
  return String(nanoseconds).padStart(9, "0").replace(/0+$/u, "");
}
