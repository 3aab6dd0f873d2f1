/**
 * What a registry server can be told.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";

/** What an observer learns of a request once it has been answered. */
export interface RequestInfo {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** The `Range` header, where there was one. */
  readonly range?: string;
  readonly status: number;
  /** Of the answer: body and headers, as far as the connection has taken them. */
  readonly bytesSent: number;
  readonly ms: number;
  /** What failed inside the server, where it answered 5xx or broke the answer off. */
  readonly error?: unknown;
}

/** Bounds on what clients may ask of the server. */
export interface RegistryLimits {
  /** The largest manifest, in bytes; default 4 MiB, the least that the specification wants. */
  readonly maxManifestBytes: number;
  /** The largest blob, in bytes; default 1 TiB. */
  readonly maxBlobBytes: number;
  /** Unfinished uploads at one time; default 1000. */
  readonly maxUploads: number;
  /** Unfinished uploads that nobody touched for so long are dropped; default 24 hours. */
  readonly uploadExpiryMs: number;
  /** Connections at one time; default 4096. */
  readonly maxConnections: number;
  /** A connection on which nothing moves for so long during a request is closed; default 2 minutes. */
  readonly idleTimeoutMs: number;
  /** The time to send all headers of a request; default 30 seconds. */
  readonly headersTimeoutMs: number;
}

/** How to issue tokens. */
export interface TokenSettings {
  /** Signs the tokens; default 32 random bytes, so that no token survives a restart. */
  readonly secret?: Uint8Array | undefined;
  /** The name of the registry in its tokens; default `esgz-registry`. */
  readonly service?: string | undefined;
  /** How long a token is good for; default 300. */
  readonly expirySeconds?: number | undefined;
  /** The URL of the token endpoint; default `/token` at the address that the client used. */
  readonly realm?: string | undefined;
}

/** How to serve a registry. */
export interface RegistryServerOptions {
  /** The directory that holds the registry, created if missing. Without it everything is in memory and ends with the server. */
  readonly root?: string | undefined;
  /** The address to listen on; default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** The port to listen on; default 0, any free one. */
  readonly port?: number | undefined;
  /** The text of an htpasswd file with bcrypt hashes. Its users may do everything; others only what `anonymousPull` allows. */
  readonly htpasswd?: string | undefined;
  /** Whether everybody may pull. Only with `htpasswd` or `token`; without either, everybody may do everything. Default false. */
  readonly anonymousPull?: boolean | undefined;
  /** Lets clients exchange user and password for tokens at `/token`, rather than send them with every request. */
  readonly token?: TokenSettings | undefined;
  /** Serves HTTPS. PEM texts. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  readonly limits?: Partial<RegistryLimits> | undefined;
  /** Told of every request once it has been answered. Must not throw. */
  readonly onRequest?: ((info: RequestInfo) => void) | undefined;
  readonly clock?: Clock | undefined;
  /** Ends the start, not the server. */
  readonly signal?: AbortSignal | undefined;
}

/** The bounds where none are given. */
export const DEFAULT_LIMITS: RegistryLimits = {
  maxManifestBytes: 4 << 20,
  maxBlobBytes: 2 ** 40,
  maxUploads: 1000,
  uploadExpiryMs: 24 * 60 * 60 * 1000,
  maxConnections: 4096,
  idleTimeoutMs: 120_000,
  headersTimeoutMs: 30_000,
};
