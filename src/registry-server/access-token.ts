/**
 * Tokens that say what their bearer may do: JSON Web Tokens signed with HMAC-SHA256.
 *
 * ```
 * base64url({"alg":"HS256","typ":"JWT"}) . base64url(claims) . base64url(HMAC-SHA256(secret, all before))
 * ```
 *
 * Source: RFC 7515, RFC 7519; Docker registry token specification (the `access` claim).
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import type { AccessNeed } from "./access-control.ts";

const ClaimsSchema = v.object({
  iss: v.string(),
  sub: v.string(),
  aud: v.string(),
  /** Seconds since 1970. */
  iat: v.number(),
  exp: v.number(),
  /** What the token is good for: requests, or getting further tokens. */
  use: v.picklist(["access", "refresh"]),
  access: v.array(
    v.object({
      type: v.picklist(["repository", "registry"]),
      name: v.string(),
      actions: v.array(v.picklist(["pull", "push", "delete", "*"])),
    }),
  ),
});

/** What a token says. */
export interface TokenClaims {
  /** Who issued it. */
  readonly iss: string;
  /** The user; empty for nobody. */
  readonly sub: string;
  /** The service that it is for. */
  readonly aud: string;
  /** When it was issued and when it ends, in seconds since 1970. */
  readonly iat: number;
  readonly exp: number;
  readonly use: "access" | "refresh";
  readonly access: readonly AccessNeed[];
}

const HEADER = Buffer.from('{"alg":"HS256","typ":"JWT"}').toString("base64url");

/** Signs claims. */
export function signToken(claims: TokenClaims, secret: Uint8Array): string {
  const signed = `${HEADER}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}`;
  return `${signed}.${signatureOf(signed, secret).toString("base64url")}`;
}

/** The claims of a token, or undefined if it was not signed with the secret, is over, or is for something else. */
export function verifyToken(
  token: string,
  secret: Uint8Array,
  expected: { readonly aud: string; readonly use: TokenClaims["use"]; readonly nowMs: number },
): TokenClaims | undefined {
  const [header, body, signature, ...more] = token.split(".");
  // No other algorithm is ever looked at, "none" least of all.
  if (header !== HEADER || body === undefined || signature === undefined || more.length > 0) return undefined;
  const found = Buffer.from(signature, "base64url");
  const wanted = signatureOf(`${header}.${body}`, secret);
  if (found.length !== wanted.length || !timingSafeEqual(found, wanted)) return undefined;
  const claims = v.safeParse(ClaimsSchema, JSON.parse(Buffer.from(body, "base64url").toString()));
  if (!claims.success || claims.output.exp * 1000 <= expected.nowMs) return undefined;
  return claims.output.aud === expected.aud && claims.output.use === expected.use ? claims.output : undefined;
}

function signatureOf(text: string, secret: Uint8Array): Buffer {
  return createHmac("sha256", secret).update(text).digest();
}
