/**
 * The answer of a token server.
 *
 * | field           | meaning                                                        |
 * | --------------- | -------------------------------------------------------------- |
 * | `token`         | the bearer token (token authentication)                        |
 * | `access_token`  | the same, in OAuth 2 answers                                   |
 * | `expires_in`    | seconds of validity; 60 where it is missing                    |
 * | `refresh_token` | a new identity token, in OAuth 2 answers (not kept)            |
 *
 * Source: distribution project, "Token Authentication Specification" and "OAuth 2 token".
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** A bearer token and how long it is good for. */
export interface BearerToken {
  readonly token: string;
  /** Seconds, counted from when it was issued. */
  readonly expiresInSeconds: number;
}

const DEFAULT_EXPIRY_SECONDS = 60;
const MAX_EXPIRY_SECONDS = 24 * 60 * 60;

/**
 * Parses a token server's JSON.
 *
 * @throws {EsgzError} `REGISTRY_PROTOCOL` if it holds no token that can be sent in a header.
 */
export function parseTokenResponse(text: string): BearerToken {
  const value = parseJson(text);
  const fields = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  const token = [fields["token"], fields["access_token"]].find(isSendable);
  if (token === undefined) {
    throw new EsgzError(
      "REGISTRY_PROTOCOL",
      "Cannot read token response: expected JSON with a token, got neither token nor access_token",
    );
  }
  return { token, expiresInSeconds: expiryOf(fields["expires_in"]) };
}

function isSendable(value: unknown): value is string {
  return typeof value === "string" && /^[\x21-\x7e]+$/.test(value);
}

function expiryOf(value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) return DEFAULT_EXPIRY_SECONDS;
  return Math.min(value, MAX_EXPIRY_SECONDS);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
