/**
 * `esgz login` and `esgz logout`: credentials in Docker's and Podman's files.
 *
 * @module
 */
import type { Command } from "commander";
import { EsgzError } from "../../errors/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import {
  addRegistryFlags,
  credentialLocations,
  openRegistryClient,
  type RegistryFlags,
} from "../registry-access.ts";

interface LoginFlags extends SharedFlags, RegistryFlags {
  readonly username?: string;
  readonly passwordStdin?: boolean;
}

const MAX_PASSWORD_BYTES = 64 << 10;

/** Adds `login`. */
export function registerLogin(program: Command, environment: Environment): void {
  addRegistryFlags(addSharedFlags(program.command("login")))
    .description("check a user name and password with a registry and keep them")
    .argument("[registry]", "host of the registry", "docker.io")
    .requiredOption("-u, --username <name>", "user name")
    .option("--password-stdin", "read the password (or token) from standard input")
    .action(async (registry: string, flags: LoginFlags) =>
      login(new CommandContext(environment, flags), registry, flags),
    );
}

/** Adds `logout`. */
export function registerLogout(program: Command, environment: Environment): void {
  addSharedFlags(program.command("logout"))
    .description("forget the credentials for a registry")
    .argument("[registry]", "host of the registry", "docker.io")
    .option("--authfile <file>", "credentials file")
    .action(async (registry: string, flags: LoginFlags) =>
      logout(new CommandContext(environment, flags), registry, flags),
    );
}

async function login(context: CommandContext, registry: string, flags: LoginFlags): Promise<void> {
  const { environment } = context;
  if (flags.passwordStdin !== true) {
    throw new EsgzError(
      "USAGE_INVALID",
      "Cannot log in: expected --password-stdin, so that no password stands in the process list or the shell's history",
    );
  }
  const { createDockerCredentials } = await import("../../registry/index.ts");
  const credential = { username: flags.username, password: await readPassword(environment) };
  await using client = await openRegistryClient(
    environment,
    flags,
    {},
    { credentialFor: async () => credential },
  );
  await client.ping(registry, { signal: environment.signal });
  await createDockerCredentials(credentialLocations(environment, flags.authfile)).saveCredential(
    registry,
    credential,
  );
  await context.print({ registry, username: flags.username }, `Logged in to ${registry}\n`);
}

async function logout(context: CommandContext, registry: string, flags: LoginFlags): Promise<void> {
  const { createDockerCredentials } = await import("../../registry/index.ts");
  const credentials = createDockerCredentials(credentialLocations(context.environment, flags.authfile));
  const erased = await credentials.eraseCredential(registry);
  await context.print(
    { registry, erased },
    erased ? `Logged out of ${registry}\n` : `Not logged in to ${registry}\n`,
  );
}

async function readPassword(environment: Environment): Promise<string> {
  let text = "";
  for await (const chunk of environment.stdin.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > MAX_PASSWORD_BYTES)
      throw new EsgzError("USAGE_INVALID", "Cannot read password: it is too long");
  }
  const password = text.replace(/\r?\n$/, "");
  if (password === "")
    throw new EsgzError("USAGE_INVALID", "Cannot read password: expected one on standard input, got none");
  return password;
}
