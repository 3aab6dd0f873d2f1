/**
 * From the options of a server to its access control.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { type AccessControl, OPEN_ACCESS } from "./access-control.ts";
import { createBasicAccess } from "./basic-access.ts";
import { PasswordFile, parsePasswordFile } from "./password-file.ts";
import type { RegistryServerOptions } from "./registry-options.ts";
import { TokenAccess } from "./token-access.ts";

const MIN_SECRET_BYTES = 32;

/**
 * The access control that the options describe.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export function createAccess(options: RegistryServerOptions, clock: Clock): AccessControl {
  const { htpasswd, token, anonymousPull = false } = options;
  if (htpasswd === undefined && token === undefined) {
    if (!anonymousPull) return OPEN_ACCESS;
    throw invalid('anonymousPull: expected "htpasswd" or "token" beside it');
  }
  const users = htpasswd === undefined ? new PasswordFile(new Map()) : parsePasswordFile(htpasswd);
  if (token === undefined) return createBasicAccess({ users, anonymousPull });
  const secret = token.secret ?? randomBytes(MIN_SECRET_BYTES);
  if (secret.length < MIN_SECRET_BYTES) {
    throw invalid(`token secret: expected ${MIN_SECRET_BYTES} bytes or more, got ${secret.length}`);
  }
  return new TokenAccess({
    users,
    anonymousPull,
    secret,
    service: token.service ?? "esgz-registry",
    expirySeconds: token.expirySeconds ?? 300,
    realm: token.realm,
    clock,
  });
}

function invalid(reason: string): EsgzError {
  return new EsgzError("CONFIGURATION_INVALID", `Cannot use registry option ${reason}`);
}
