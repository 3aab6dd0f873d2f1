/**
 * Access by bearer tokens, and the endpoint that issues them.
 *
 * ```
 * client                                         registry
 *   GET /v2/app/manifests/1             ->
 *                                       <-       401, Bearer realm=".../token",scope="repository:app:pull"
 *   GET /token?scope=...  Basic ...     ->
 *                                       <-       {"token": ...}
 *   GET /v2/app/manifests/1  Bearer ... ->
 * ```
 *
 * Source: Docker registry token and OAuth2 specifications.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { decodeUtf8 } from "../bytes/index.ts";
import type { AccessControl, AccessNeed } from "./access-control.ts";
import { covers, formatScopes, parseScopes } from "./access-scope.ts";
import { signToken, type TokenClaims, verifyToken } from "./access-token.ts";
import {
  BASIC_CHALLENGE,
  type BasicCredentials,
  parseBasicCredentials,
  unauthorized,
} from "./basic-access.ts";
import type { Exchange } from "./exchange.ts";
import type { PasswordFile } from "./password-file.ts";
import { RegistryProblem } from "./registry-problem.ts";

/** How tokens are issued. */
export interface TokenAccessOptions {
  readonly users: PasswordFile;
  /** Whether everybody may pull. */
  readonly anonymousPull: boolean;
  /** Signs the tokens; 32 bytes or more. */
  readonly secret: Uint8Array;
  /** The name of the registry in its tokens. */
  readonly service: string;
  /** How long a token is good for. */
  readonly expirySeconds: number;
  /** The URL of the token endpoint, where clients cannot reach it at the address that they use for the registry. */
  readonly realm: string | undefined;
  readonly clock: Clock;
}

/** What a client asks the token endpoint for. */
interface TokenRequest {
  readonly scopes: readonly AccessNeed[];
  readonly credentials: BasicCredentials | undefined;
  readonly refreshToken: string | undefined;
  /** Whether the client wants a refresh token. */
  readonly offline: boolean;
}

const REFRESH_SECONDS = 90 * 24 * 60 * 60;
const MAX_FORM_BYTES = 64 << 10;

/** Users get what they ask for; nobody in particular gets pulls where `anonymousPull` is set. */
export class TokenAccess implements AccessControl {
  readonly #options: TokenAccessOptions;

  constructor(options: TokenAccessOptions) {
    this.#options = options;
  }

  async authorize(exchange: Exchange, needs: readonly AccessNeed[]): Promise<void> {
    const token = /^bearer +(\S+)$/i.exec(exchange.header("authorization") ?? "")?.[1];
    const claims = token === undefined ? undefined : this.#verify(token, "access");
    if (claims !== undefined && covers(claims.access, needs)) return;
    const error =
      token === undefined ? undefined : claims === undefined ? "invalid_token" : "insufficient_scope";
    throw unauthorized(this.#challenge(exchange, needs, error));
  }

  /** Answers `GET /token` (Docker's way) and `POST /token` (OAuth2). */
  async answerToken(exchange: Exchange): Promise<void> {
    const request = exchange.method === "POST" ? await readForm(exchange) : readQuery(exchange);
    const user = await this.#userOf(request);
    const access = user === undefined ? anonymousShare(request.scopes) : request.scopes;
    const token = this.#sign({ sub: user ?? "", use: "access", access }, this.#options.expirySeconds);
    const refresh =
      request.offline && user !== undefined
        ? { refresh_token: this.#sign({ sub: user, use: "refresh", access: [] }, REFRESH_SECONDS) }
        : {};
    const body = {
      token,
      access_token: token,
      expires_in: this.#options.expirySeconds,
      issued_at: new Date(this.#options.clock.wallMs()).toISOString(),
      scope: formatScopes(access),
      ...refresh,
    };
    exchange.sendJson(200, body, { "Cache-Control": "no-store" });
  }

  /** The user who asks; undefined for nobody in particular, where that is allowed. */
  async #userOf({ credentials, refreshToken }: TokenRequest): Promise<string | undefined> {
    if (refreshToken !== undefined) {
      const user = this.#verify(refreshToken, "refresh")?.sub;
      if (user === undefined) throw unauthorized(BASIC_CHALLENGE);
      return user;
    }
    if (credentials === undefined && this.#options.anonymousPull) return undefined;
    if (credentials !== undefined && (await this.#options.users.accepts(credentials)))
      return credentials.user;
    throw unauthorized(BASIC_CHALLENGE);
  }

  #verify(token: string, use: TokenClaims["use"]): TokenClaims | undefined {
    const { secret, service: aud, clock } = this.#options;
    return verifyToken(token, secret, { aud, use, nowMs: clock.wallMs() });
  }

  #sign(claims: Pick<TokenClaims, "sub" | "use" | "access">, seconds: number): string {
    const { secret, service, clock } = this.#options;
    const iat = Math.floor(clock.wallMs() / 1000);
    return signToken({ iss: service, aud: service, iat, exp: iat + seconds, ...claims }, secret);
  }

  #challenge(exchange: Exchange, needs: readonly AccessNeed[], error: string | undefined): string {
    const parts = [
      ["realm", this.#options.realm ?? `${exchange.origin}/token`],
      ["service", this.#options.service],
      ...(needs.length === 0 ? [] : [["scope", formatScopes(needs)]]),
      ...(error === undefined ? [] : [["error", error]]),
    ];
    return `Bearer ${parts.map(([name, value]) => `${name}="${value}"`).join(",")}`;
  }
}

function readQuery(exchange: Exchange): TokenRequest {
  return {
    scopes: parseScopes(exchange.query.getAll("scope")),
    credentials: parseBasicCredentials(exchange.header("authorization")),
    refreshToken: undefined,
    offline: exchange.query.get("offline_token") === "true",
  };
}

async function readForm(exchange: Exchange): Promise<TokenRequest> {
  const form = new URLSearchParams(decodeUtf8(await exchange.readBody(MAX_FORM_BYTES)));
  const common = {
    scopes: parseScopes(form.getAll("scope")),
    offline: form.get("access_type") === "offline",
  };
  switch (form.get("grant_type")) {
    case "password": {
      const credentials = { user: form.get("username") ?? "", password: form.get("password") ?? "" };
      return { ...common, credentials, refreshToken: undefined };
    }
    case "refresh_token":
      return { ...common, credentials: undefined, refreshToken: form.get("refresh_token") ?? "" };
    default:
      throw new RegistryProblem("UNSUPPORTED", "expected grant_type password or refresh_token", {
        status: 400,
      });
  }
}

function anonymousShare(scopes: readonly AccessNeed[]): readonly AccessNeed[] {
  return scopes
    .filter(({ type }) => type === "repository")
    .map((scope) => ({ ...scope, actions: scope.actions.filter((action) => action === "pull") }))
    .filter(({ actions }) => actions.length > 0);
}
