/**
 * Getting a bearer token from a token server.
 *
 * | credential          | request                                                            |
 * | ------------------- | ------------------------------------------------------------------ |
 * | none                | `GET realm?service=&scope=`                                        |
 * | user and password   | the same with `Authorization: Basic`                               |
 * | identity token      | `POST realm`, form `grant_type=refresh_token`                      |
 *
 * Source: distribution project, "Token Authentication Specification", "OAuth 2 token".
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { type Credential, encodeBasicAuth } from "./credential.ts";
import type { TlsConfig } from "./host-config.ts";
import type { HttpTransport } from "./http-transport.ts";
import type { HttpResponse } from "./http-response.ts";
import { redactUrl } from "./redact-url.ts";
import { responseFailure } from "./response-failure.ts";
import { type BearerToken, parseTokenResponse } from "./token-response.ts";

/** What is asked of a token server. */
export interface TokenRequest {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly scopes: readonly string[];
  readonly credential: Credential | undefined;
  readonly tls: TlsConfig | undefined;
  readonly nowWallMs: number;
}

const CLIENT_ID = "esgz";
const MAX_TOKEN_RESPONSE = 1 << 20;
const MAX_REDIRECTS = 3;

/**
 * Fetches a token. Redirects are followed within the realm's origin only.
 *
 * @throws {EsgzError} `REGISTRY_UNAUTHORIZED` or `REGISTRY_DENIED` if the server refuses, `REGISTRY_PROTOCOL` for an answer
 * without a token; network and 5xx codes.
 */
export async function fetchToken(transport: HttpTransport, request: TokenRequest): Promise<BearerToken> {
  let url = request.realm;
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    const response = await ask(transport, { ...request, realm: url });
    if (response.ok) {
      return parseTokenResponse(new TextDecoder().decode(await response.bytes(MAX_TOKEN_RESPONSE)));
    }
    const location =
      response.status >= 300 && response.status < 400 ? response.header("location") : undefined;
    if (location === undefined || !URL.canParse(location, url.href)) {
      throw await responseFailure(response, {
        action: `get token from "${url.host}"`,
        nowWallMs: request.nowWallMs,
      });
    }
    await response.discard();
    url = sameOriginTarget(new URL(location, url), url);
  }
  throw new EsgzError(
    "REGISTRY_PROTOCOL",
    `Cannot get token from "${url.host}": expected an end of redirects`,
  );
}

function ask(transport: HttpTransport, request: TokenRequest): Promise<HttpResponse> {
  const { realm, service, scopes, credential, tls } = request;
  const params = new URLSearchParams();
  if (service !== undefined) params.set("service", service);
  if (credential?.identityToken !== undefined) {
    if (scopes.length > 0) params.set("scope", scopes.join(" "));
    params.set("grant_type", "refresh_token");
    params.set("client_id", CLIENT_ID);
    params.set("refresh_token", credential.identityToken);
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const body = new TextEncoder().encode(params.toString());
    return transport.exchange({ method: "POST", url: realm, headers, body, tls });
  }
  for (const scope of scopes) params.append("scope", scope);
  const url = new URL(realm);
  for (const [name, value] of params)
    if (name === "scope" || !url.searchParams.has(name)) url.searchParams.append(name, value);
  const basic = encodeBasicAuth(credential);
  const headers = basic === undefined ? {} : { authorization: basic };
  return transport.exchange({ method: "GET", url, headers, tls });
}

function sameOriginTarget(target: URL, from: URL): URL {
  if (target.origin === from.origin) return target;
  throw new EsgzError(
    "REGISTRY_PROTOCOL",
    `Cannot get token from "${from.host}": expected no redirect to another origin, got "${redactUrl(target)}"`,
  );
}
