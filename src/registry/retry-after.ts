/**
 * The `Retry-After` header: seconds, or a date.
 *
 * Source: RFC 9110, section 10.2.3.
 *
 * @module
 */

const IMF_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/**
 * The pause that a server asks for, in milliseconds; 0 for a date that has passed, undefined for a missing or
 * unreadable header.
 *
 * @param nowWallMs The time now, in milliseconds since 1970.
 */
export function parseRetryAfter(text: string | undefined, nowWallMs: number): number | undefined {
  const value = text?.trim() ?? "";
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  if (!IMF_DATE.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowWallMs);
}
