/**
 * The `Link` header: where the next page is.
 *
 * Source: RFC 8288; OCI distribution specification 1.1, "Listing tags".
 *
 * @module
 */

const MAX_HEADER_LENGTH = 16 << 10;

/** The target of the first `rel="next"` link, as it was written (mostly a path), or undefined. */
export function parseNextLink(values: readonly string[]): string | undefined {
  for (const value of values) {
    if (value.length > MAX_HEADER_LENGTH) continue;
    for (const match of value.matchAll(/<([^<>]*)>((?:[^,<>"]|"[^"]*")*)/g)) {
      const [, target = "", params = ""] = match;
      const relation = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))/i.exec(params);
      const names = (relation?.[1] ?? relation?.[2] ?? "").toLowerCase().split(/\s+/);
      if (names.includes("next") && target !== "") return target.trim();
    }
  }
  return undefined;
}
