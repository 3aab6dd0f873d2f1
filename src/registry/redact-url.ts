/**
 * URLs as they may be shown: without user, password, query and fragment.
 *
 * @module
 */

/** Scheme, host and path of a URL; signed query strings and credentials never leave through it. */
export function redactUrl(url: URL | string): string {
  if (typeof url === "string" && !URL.canParse(url)) return "(unreadable URL)";
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
