/**
 * Access by user and password in every request.
 *
 * Source: RFC 7617.
 *
 * @module
 */
import { decodeBase64, decodeUtf8 } from "../bytes/index.ts";
import type { AccessControl, AccessNeed } from "./access-control.ts";
import type { PasswordFile } from "./password-file.ts";
import { RegistryProblem } from "./registry-problem.ts";

/** A user and a password, as a client sent them. */
export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

/** The challenge that asks for user and password. */
export const BASIC_CHALLENGE: string = 'Basic realm="registry", charset="UTF-8"';

/** Users may do everything; others may pull where `anonymousPull` is set, and nothing else. */
export function createBasicAccess(options: {
  readonly users: PasswordFile;
  readonly anonymousPull: boolean;
}): AccessControl {
  return {
    async authorize(exchange, needs) {
      const header = exchange.header("authorization");
      if (header === undefined && options.anonymousPull && isPullOnly(needs)) return;
      const credentials = parseBasicCredentials(header);
      if (credentials !== undefined && (await options.users.accepts(credentials))) return;
      throw unauthorized(BASIC_CHALLENGE);
    },
  };
}

/** The credentials of an `Authorization` header, or undefined if it has none of this kind. */
export function parseBasicCredentials(header: string | undefined): BasicCredentials | undefined {
  const encoded = /^basic +([A-Za-z0-9+/]+=*)$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  try {
    const text = decodeUtf8(decodeBase64(encoded));
    const colon = text.indexOf(":");
    return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
  } catch {
    return undefined;
  }
}

/** The refusal that tells a client how to log in. */
export function unauthorized(challenge: string): RegistryProblem {
  const headers = { "WWW-Authenticate": challenge };
  return new RegistryProblem("UNAUTHORIZED", "authentication required", { headers });
}

/** Whether the needs are pulling from repositories and nothing else; to be known is one of the other things. */
function isPullOnly(needs: readonly AccessNeed[]): boolean {
  return (
    needs.length > 0 &&
    needs.every(({ type, actions }) => type === "repository" && actions.every((action) => action === "pull"))
  );
}
