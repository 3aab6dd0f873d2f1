/**
 * Authentication to one origin: learns from its challenges, keeps tokens per scope, and renews them.
 *
 * @module
 */
import { type Clock, SingleFlight } from "../async/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { type AuthChallenge, parseAuthChallenges } from "./auth-challenge.ts";
import { type Credential, type CredentialProvider, encodeBasicAuth, sameCredential } from "./credential.ts";
import type { TlsConfig } from "./host-config.ts";
import type { HttpResponse } from "./http-response.ts";
import type { HttpTransport } from "./http-transport.ts";
import { isLoopbackHost } from "./loopback.ts";
import { redactUrl } from "./redact-url.ts";
import { fetchToken } from "./token-exchange.ts";
import { mergeScopes } from "./token-scope.ts";

/** What an authorizer works with. */
export interface AuthorizerOptions {
  /** The name under which credentials are looked up. */
  readonly registry: string;
  /** The origin that gets the `Authorization` header. */
  readonly origin: URL;
  readonly credentials: CredentialProvider | undefined;
  readonly transport: HttpTransport;
  readonly tls: TlsConfig | undefined;
  readonly clock: Clock;
}

/** What a request needs. */
export interface AccessRequest {
  readonly scopes: readonly string[];
  readonly repository: string | undefined;
}

/** An `Authorization` value and what it rests on. */
export interface Grant {
  /** The header's value; undefined for an anonymous request. */
  readonly header: string | undefined;
  readonly scopes: readonly string[];
  readonly credential?: Credential | undefined;
  /** Whether it was issued for this very request, so that a refusal is no matter of age. */
  readonly fresh: boolean;
}

interface CachedToken {
  readonly header: string;
  readonly credential: Credential | undefined;
  readonly goodUntilMs: number;
}

type Scheme =
  | { readonly kind: "basic" }
  | { readonly kind: "bearer"; readonly realm: URL; readonly service: string | undefined };

const MAX_SLACK_MS = 30_000;
const MAX_CACHED = 1024;

/** Gives and renews the `Authorization` header of one origin. */
export class Authorizer {
  readonly #options: AuthorizerOptions;
  readonly #tokens = new Map<string, CachedToken>();
  readonly #tokenFlights = new SingleFlight<string, CachedToken>();
  readonly #credentials = new Map<string, Promise<Credential | undefined>>();
  #scheme: Scheme | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
  }

  /**
   * The header for a request, from what is known so far. Before the first challenge nothing is sent, and nothing after an
   * earlier one that is of no use any more: the registry may name another token server by now, or want no tokens.
   */
  async grantFor(request: AccessRequest): Promise<Grant> {
    const scheme = this.#scheme;
    try {
      return await this.#grant(request);
    } catch (error) {
      if (scheme?.kind !== "bearer" || isEsgzError(error, "REGISTRY_RATE_LIMITED")) throw error;
      if (this.#scheme === scheme) this.#scheme = undefined;
      return { header: undefined, scopes: mergeScopes(request.scopes), fresh: false };
    }
  }

  async #grant(request: AccessRequest): Promise<Grant> {
    const scopes = mergeScopes(request.scopes);
    const scheme = this.#scheme;
    if (scheme === undefined) return { header: undefined, scopes, fresh: false };
    const credential = await this.#credentialFor(request.repository);
    if (credential?.registryToken !== undefined) {
      return { header: `Bearer ${credential.registryToken}`, scopes, credential, fresh: true };
    }
    if (scheme.kind === "basic") {
      return { header: encodeBasicAuth(credential), scopes, credential, fresh: false };
    }
    const key = tokenKey(request.repository, scopes);
    const cached = this.#tokens.get(key);
    if (cached !== undefined && cached.goodUntilMs > this.#options.clock.nowMs()) {
      return { header: cached.header, scopes, credential: cached.credential, fresh: false };
    }
    const token = await this.#tokenFlights.run(key, () => this.#issue(scheme, request.repository, scopes));
    return { header: token.header, scopes, credential: token.credential, fresh: true };
  }

  /**
   * A better grant after a 401 or 403, or undefined where another try would fail the same way. Reads only headers of
   * the answer.
   */
  async renew(response: HttpResponse, request: AccessRequest, used: Grant): Promise<Grant | undefined> {
    const challenges = parseAuthChallenges(response.headerValues("www-authenticate"));
    const bearer = challenges.find(({ scheme }) => scheme === "bearer");
    const before = this.#scheme;
    this.#scheme = this.#schemeFrom(challenges) ?? before;
    if (this.#scheme === undefined) return undefined;
    const scopes = mergeScopes([...used.scopes, ...(bearer?.params.get("scope") ?? "").split(" ")]);
    const wanted = { scopes, repository: request.repository };
    const wider = scopes.join(" ") !== used.scopes.join(" ");
    // Of requests that are refused at once, the first renews the token for all.
    const cached = this.#tokens.get(tokenKey(request.repository, scopes));
    const isRenewed = cached !== undefined && cached.header !== used.header;
    if (used.header === undefined || wider || isRenewed) {
      const grant = await this.#grant(wanted);
      if (grant.header !== undefined && grant.header !== used.header) return grant;
    }
    if (used.fresh && used.credential?.registryToken === undefined && this.#scheme.kind === "bearer") {
      return undefined;
    }
    this.#tokens.delete(tokenKey(request.repository, scopes));
    const changed = await this.#forgetCredential(request.repository, used.credential);
    if (this.#scheme.kind === "basic" && !changed) return undefined;
    const grant = await this.#grant(wanted);
    return grant.header === undefined || grant.header === used.header ? undefined : grant;
  }

  async #issue(
    scheme: Scheme & { kind: "bearer" },
    repository: string | undefined,
    scopes: readonly string[],
  ): Promise<CachedToken> {
    const credential = await this.#credentialFor(repository);
    try {
      return await this.#exchange(scheme, repository, { scopes, credential });
    } catch (error) {
      const refused = isEsgzError(error, "REGISTRY_UNAUTHORIZED") || isEsgzError(error, "REGISTRY_DENIED");
      if (!refused || !(await this.#forgetCredential(repository, credential))) throw error;
      const renewed = await this.#credentialFor(repository);
      return await this.#exchange(scheme, repository, { scopes, credential: renewed });
    }
  }

  async #exchange(
    scheme: Scheme & { kind: "bearer" },
    repository: string | undefined,
    { scopes, credential }: { scopes: readonly string[]; credential: Credential | undefined },
  ): Promise<CachedToken> {
    const { transport, clock, tls, origin } = this.#options;
    const askedMs = clock.nowMs();
    const token = await fetchToken(transport, {
      realm: scheme.realm,
      service: scheme.service,
      scopes,
      credential,
      tls: tlsForOther(tls, origin, scheme.realm),
      nowWallMs: clock.wallMs(),
    });
    const lifeMs = token.expiresInSeconds * 1000;
    const cached: CachedToken = {
      header: `Bearer ${token.token}`,
      credential,
      goodUntilMs: askedMs + lifeMs - Math.min(MAX_SLACK_MS, lifeMs / 4),
    };
    if (this.#tokens.size >= MAX_CACHED) this.#tokens.clear();
    this.#tokens.set(tokenKey(repository, scopes), cached);
    return cached;
  }

  #schemeFrom(challenges: readonly AuthChallenge[]): Scheme | undefined {
    for (const { scheme, params } of challenges) {
      if (scheme !== "bearer") continue;
      const realm = this.#realmFrom(params.get("realm"));
      if (realm !== undefined) return { kind: "bearer", realm, service: params.get("service") };
    }
    return challenges.some(({ scheme }) => scheme === "basic") ? { kind: "basic" } : undefined;
  }

  #realmFrom(text: string | undefined): URL | undefined {
    const { origin, registry } = this.#options;
    if (text === undefined || !URL.canParse(text)) return undefined;
    const realm = new URL(text);
    const plain = realm.protocol === "http:";
    const allowed =
      realm.protocol === "https:" ||
      (plain && (origin.protocol === "http:" || (isLoopbackHost(origin.host) && isLoopbackHost(realm.host))));
    if (allowed && realm.username === "" && realm.password === "") return realm;
    throw new EsgzError(
      "REGISTRY_PROTOCOL",
      `Cannot authenticate to registry "${registry}": expected an https token server, got "${redactUrl(realm)}"`,
    );
  }

  #credentialFor(repository: string | undefined): Promise<Credential | undefined> {
    const key = repository ?? "";
    const known = this.#credentials.get(key);
    if (known !== undefined) return known;
    const { credentials, registry } = this.#options;
    const asked = Promise.resolve(
      credentials?.credentialFor(registry, repository === undefined ? {} : { repository }),
    );
    if (this.#credentials.size >= MAX_CACHED) this.#credentials.clear();
    this.#credentials.set(key, asked);
    asked.catch(() => {
      if (this.#credentials.get(key) === asked) this.#credentials.delete(key);
    });
    return asked;
  }

  /** Asks the provider again; whether it now says something else than `used`. */
  async #forgetCredential(repository: string | undefined, used: Credential | undefined): Promise<boolean> {
    const key = repository ?? "";
    const known = this.#credentials.get(key);
    // Of requests that are refused at once, the first asks for all: it may start a program, or a person.
    const isUsed = (await known?.catch(() => undefined)) === used;
    if (isUsed && this.#credentials.get(key) === known) this.#credentials.delete(key);
    return !sameCredential(used, await this.#credentialFor(repository));
  }
}

/** TLS settings for another origin: private authorities hold there too, client certificates are never shown. */
export function tlsForOther(tls: TlsConfig | undefined, own: URL, other: URL): TlsConfig | undefined {
  if (tls === undefined || own.origin === other.origin) return tls;
  return withoutClientCertificate(tls);
}

const STRIPPED = new WeakMap<TlsConfig, TlsConfig>();

/** The same object each time: dispatchers are kept by identity. */
function withoutClientCertificate(tls: TlsConfig): TlsConfig {
  const known = STRIPPED.get(tls);
  if (known !== undefined) return known;
  const { ca, caFile, skipVerify } = tls;
  const stripped = { ca, caFile, skipVerify };
  STRIPPED.set(tls, stripped);
  return stripped;
}

function tokenKey(repository: string | undefined, scopes: readonly string[]): string {
  return `${repository ?? ""} ${scopes.join(" ")}`;
}
