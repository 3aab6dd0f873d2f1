/**
 * What a user proves who they are with, and where it comes from.
 *
 * @module
 */

/** A way to authenticate; which fields are set decides how. Secrets: never logged, never in errors. */
export interface Credential {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** An OAuth 2 refresh token, exchanged for bearer tokens at the registry's token server. */
  readonly identityToken?: string | undefined;
  /** A bearer token, sent to the registry as it is. */
  readonly registryToken?: string | undefined;
}

/** What a provider may look at beside the registry's name. */
export interface CredentialQuery {
  /** The repository that is accessed, for credentials of a part of a registry. */
  readonly repository?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A source of credentials. */
export interface CredentialProvider {
  /** The credential for a registry (`docker.io`, `localhost:5000`), or undefined for anonymous access. */
  credentialFor(registry: string, options: CredentialQuery): Promise<Credential | undefined>;
}

/** Whether two credentials prove the same. */
export function sameCredential(a: Credential | undefined, b: Credential | undefined): boolean {
  return (
    a?.username === b?.username &&
    a?.password === b?.password &&
    a?.identityToken === b?.identityToken &&
    a?.registryToken === b?.registryToken
  );
}

/** The `Authorization` value for HTTP Basic, or undefined where the credential has no user and password. */
export function encodeBasicAuth(credential: Credential | undefined): string | undefined {
  const { username, password } = credential ?? {};
  if (username === undefined || username === "" || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}
