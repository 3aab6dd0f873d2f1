/**
 * Credential helper programs: `docker-credential-<name> get|store|erase`.
 *
 * | action  | stdin                                   | stdout                                     |
 * | ------- | --------------------------------------- | ------------------------------------------ |
 * | `get`   | the registry                            | `{"ServerURL","Username","Secret"}`        |
 * | `store` | `{"ServerURL","Username","Secret"}`     | –                                          |
 * | `erase` | the registry                            | –                                          |
 *
 * The user name `<token>` says that the secret is an identity token.
 *
 * Source: docker-credential-helpers, README, "Development".
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Credential } from "./credential.ts";
import { helperServerFor } from "./credential-key.ts";

/** What a helper is asked to do. */
export type HelperAction = "get" | "store" | "erase";

/** How a helper program ended. */
export interface HelperResult {
  readonly exitCode: number;
  /** At most a few kilobytes. */
  readonly stdout: string;
}

/** A call of a helper program. */
export interface HelperCall {
  /** The program's name, `docker-credential-<name>`. */
  readonly program: string;
  readonly action: HelperAction;
  readonly input: string;
  readonly signal?: AbortSignal | undefined;
}

/** Runs a helper program; rejects if it cannot be run or takes too long. */
export type RunHelper = (call: HelperCall) => Promise<HelperResult>;

const TOKEN_USER = "<token>";

/**
 * Asks a helper for a credential; undefined where it has none.
 *
 * @throws {EsgzError} `CREDENTIALS_INVALID` if the helper fails or answers something else. What it printed is not repeated.
 */
export async function getFromHelper(
  run: RunHelper,
  helper: string,
  options: { readonly registry: string; readonly signal?: AbortSignal | undefined },
): Promise<Credential | undefined> {
  const input = helperServerFor(options.registry);
  const result = await run({ program: programOf(helper), action: "get", input, signal: options.signal });
  if (result.exitCode !== 0) {
    // The only failure that is an answer; helpers print it to stdout.
    if (/credentials not found/i.test(result.stdout)) return undefined;
    throw failed(helper, "get", `exit status ${result.exitCode}`);
  }
  return parseHelperAnswer(result.stdout, helper);
}

/**
 * Gives a credential to a helper.
 *
 * @throws {EsgzError} `CREDENTIALS_INVALID`
 */
export async function storeInHelper(
  run: RunHelper,
  helper: string,
  options: {
    readonly registry: string;
    readonly credential: Credential;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<void> {
  const { username, password, identityToken } = options.credential;
  const input = JSON.stringify({
    ServerURL: helperServerFor(options.registry),
    Username: identityToken === undefined ? (username ?? "") : TOKEN_USER,
    Secret: identityToken ?? password ?? "",
  });
  const result = await run({ program: programOf(helper), action: "store", input, signal: options.signal });
  if (result.exitCode !== 0) throw failed(helper, "store", `exit status ${result.exitCode}`);
}

/** Makes a helper forget a registry. Whether it knew it makes no difference. */
export async function eraseFromHelper(
  run: RunHelper,
  helper: string,
  options: { readonly registry: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const input = helperServerFor(options.registry);
  await run({ program: programOf(helper), action: "erase", input, signal: options.signal });
}

/**
 * Parses what `get` printed.
 *
 * @throws {EsgzError} `CREDENTIALS_INVALID`
 */
export function parseHelperAnswer(text: string, helper: string): Credential | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== "object" || value === null) throw failed(helper, "get", "no JSON object");
  const username = "Username" in value && typeof value.Username === "string" ? value.Username : "";
  const secret = "Secret" in value && typeof value.Secret === "string" ? value.Secret : "";
  if (secret === "") return undefined;
  return username === TOKEN_USER ? { identityToken: secret } : { username, password: secret };
}

function programOf(helper: string): string {
  if (/^[A-Za-z0-9._-]+$/.test(helper)) return `docker-credential-${helper}`;
  throw new EsgzError(
    "CREDENTIALS_INVALID",
    `Cannot run credential helper "${helper}": expected a name of letters, digits, ".", "_" and "-"`,
  );
}

function failed(helper: string, action: HelperAction, found: string): EsgzError {
  return new EsgzError(
    "CREDENTIALS_INVALID",
    `Cannot ${action} credential with helper "docker-credential-${helper}": expected success, got ${found}`,
  );
}
