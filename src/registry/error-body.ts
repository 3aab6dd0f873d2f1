/**
 * What a registry says about a failure: `{"errors":[{"code","message","detail"}]}`.
 *
 * Source: OCI distribution specification 1.1, "Error Codes".
 *
 * @module
 */

/** The first error of a body. */
export interface RegistryFault {
  /** As `DIGEST_INVALID`; empty where the body has none. */
  readonly code: string;
  /** One printable line of bounded length. */
  readonly message: string;
}

const MAX_MESSAGE_LENGTH = 300;

/**
 * Parses an error body; undefined for one that says nothing readable (HTML, empty, cut). Also reads the bodies of
 * token servers (`details`, `error_description`).
 */
export function parseErrorBody(text: string): RegistryFault | undefined {
  const value = parseJson(text);
  if (!isRecord(value)) return undefined;
  const list = Array.isArray(value["errors"]) ? value["errors"] : [];
  const first: unknown = list.find(isRecord) ?? value;
  if (!isRecord(first)) return undefined;
  const code = textOf(first["code"] ?? first["error"]).replace(/[^A-Za-z0-9_]/g, "");
  const message = textOf(first["message"] ?? first["error_description"] ?? first["details"]);
  return code === "" && message === "" ? undefined : { code: code.slice(0, 64), message: tidy(message) };
}

/** One line, without control characters, and without what follows a `?` in a URL (it may hold signatures). */
function tidy(message: string): string {
  const line = message
    .slice(0, 4 * MAX_MESSAGE_LENGTH)
    .replace(/[\p{C}\s]+/gu, " ")
    .replace(/(https?:\/\/[^\s?"']*)\?[^\s"']*/gi, "$1")
    .replace(/(https?:\/\/)[^\s/@"']*@/gi, "$1")
    .trim();
  return line.length <= MAX_MESSAGE_LENGTH ? line : `${line.slice(0, MAX_MESSAGE_LENGTH)}…`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
