/**
 * The flags that say how registries are reached.
 *
 * @module
 */
import type { Command } from "commander";
import {
  openRegistryClient as openClient,
  type RegistryAccess,
  type RegistryEnvironment,
} from "../daemon/index.ts";
import type { CredentialProvider, RegistryClient, RegistryClientOptions } from "../registry/index.ts";

export { assertAuthfile, credentialLocations } from "../daemon/index.ts";

/** Options of every command that may talk to a registry. */
export type RegistryFlags = RegistryAccess;

/** Adds the options of {@link RegistryFlags}. */
export function addRegistryFlags(command: Command): Command {
  return command
    .option("--authfile <file>", "credentials file (default: Docker's, then Podman's)")
    .option("--plain-http <host>", "speak HTTP without TLS to this registry (repeatable)", collect)
    .option("--tls <host>", "speak TLS to this registry, even if it is on this machine (repeatable)", collect)
    .option("--no-tls-verify", "accept any certificate; content is still checked against its digests")
    .option("--cert-dir <dir>", "directory with ca.crt, client.cert and client.key")
    .option("--mirror <host=url>", "read from this place first (repeatable)", collect);
}

/** A client that reaches registries as the user has set them up. */
export async function openRegistryClient(
  environment: RegistryEnvironment,
  flags: RegistryFlags,
  options: Pick<RegistryClientOptions, "onRequest"> = {},
  credentials?: CredentialProvider,
): Promise<RegistryClient> {
  return await openClient(environment, flags, { ...options, credentials });
}

/** Collects the values of an option that may be repeated. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}
