/**
 * `esgz login` and `esgz logout`: credentials in Docker's and Podman's files.
 *
 * @module
 */
import type { Command } from "commander";
import { EsgzError } from "../../errors/index.ts";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { canPrompt, prompt } from "../prompt.ts";
import {
  addRegistryFlags,
  assertAuthfile,
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
    .option("-u, --username <name>", "user name (default: asked for on a terminal)")
    .option(
      "--password-stdin",
      "read the password (or token) from standard input (default: asked for on a terminal)",
    )
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
  const { createDockerCredentials } = await import("../../registry/index.ts");
  const credential = await askCredential(environment, registry, flags);
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
  await context.print({ registry, username: credential.username }, `Logged in to ${registry}\n`);
}

async function logout(context: CommandContext, registry: string, flags: LoginFlags): Promise<void> {
  assertAuthfile(flags.authfile);
  const { createDockerCredentials } = await import("../../registry/index.ts");
  const credentials = createDockerCredentials(credentialLocations(context.environment, flags.authfile));
  const erased = await credentials.eraseCredential(registry);
  await context.print(
    { registry, erased },
    erased ? `Logged out of ${registry}\n` : `Not logged in to ${registry}\n`,
  );
}

async function askCredential(
  environment: Environment,
  registry: string,
  { username, passwordStdin }: LoginFlags,
): Promise<{ readonly username: string; readonly password: string }> {
  const asks = canPrompt(environment) && passwordStdin !== true;
  if (username === undefined && !asks)
    throw new EsgzError("USAGE_INVALID", `Cannot log in to "${registry}": expected --username, got none`);
  if (passwordStdin !== true && !asks) {
    throw new EsgzError(
      "USAGE_INVALID",
      "Cannot log in: expected a terminal or --password-stdin, so that no password stands in the process list or the shell's history",
    );
  }
  const user = username ?? (await prompt(environment, `User name for ${registry}: `, { hidden: false }));
  if (user === "") throw new EsgzError("USAGE_INVALID", "Cannot log in: expected a user name, got none");
  const password = asks
    ? await prompt(environment, `Password for ${user}: `, { hidden: true })
    : await readPassword(environment);
  if (password === "") throw new EsgzError("USAGE_INVALID", "Cannot log in: expected a password, got none");
  return { username: user, password };
}

async function readPassword(environment: Environment): Promise<string> {
  let text = "";
  for await (const chunk of environment.stdin.setEncoding("utf8")) {
    text += String(chunk);
    if (text.length > MAX_PASSWORD_BYTES)
      throw new EsgzError("USAGE_INVALID", "Cannot read password: it is too long");
  }
  return text.replace(/\r?\n$/, "");
}
