/**
 * How commands reach the daemon of a store, and what they tell it of images and registries.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { DaemonClient, ImageRequest, RegistryAccess } from "../daemon/index.ts";
import { EsgzError } from "../errors/index.ts";
import { formatPlatform, parsePlatform } from "../oci/index.ts";
import type { Environment } from "./environment.ts";
import { assertAuthfile, type RegistryFlags } from "./registry-access.ts";
import { storeOf } from "./store-location.ts";

/** Options of commands that name an image to the daemon. */
export interface ImageRequestFlags extends RegistryFlags {
  readonly platform?: string;
  readonly pull?: "always" | "missing";
}

/** What an image name may begin with beside a registry's host: places of this machine. */
const LOCAL_NAME = /^(oci|docker-archive|dir):(?!\/)(.*)$/s;

/** Adds the option that says when a registry is asked. */
export function addPullFlag(command: Command): Command {
  const text =
    "when the registry is asked what the name stands for: always (but the store's image if no answer comes), or only when it is missing here";
  return command.addOption(new Option("--pull <when>", text).choices(["always", "missing"]));
}

/**
 * The daemon of the store that a command means; it is started when there is none.
 *
 * @throws {EsgzError} `DAEMON_UNAVAILABLE`
 */
export async function openDaemon(environment: Environment, command: Command): Promise<DaemonClient> {
  const { connectDaemon } = await import("../daemon/index.ts");
  const { signal } = environment;
  return await connectDaemon({ store: await storeOf(environment, command), start: {}, signal });
}

/** The same for commands that have nothing to do where there is no store: undefined then, and nothing is made. */
export async function openDaemonOfStore(
  environment: Environment,
  command: Command,
): Promise<DaemonClient | undefined> {
  return existsSync(await storeOf(environment, command)) ? await openDaemon(environment, command) : undefined;
}

/**
 * What the daemon is told of an image: paths are absolute, since it runs in a directory of its own.
 *
 * @throws {EsgzError} `USAGE_INVALID`, `CONFIGURATION_INVALID`
 */
export function imageRequest(environment: Environment, name: string, flags: ImageRequestFlags): ImageRequest {
  if (name === "") throw new EsgzError("USAGE_INVALID", 'Cannot use image "": expected a name, got none');
  const registry = registryAccess(environment, flags);
  return {
    reference: absoluteName(name),
    ...(flags.platform === undefined ? {} : { platform: formatPlatform(parsePlatform(flags.platform)) }),
    ...(flags.pull === undefined ? {} : { resolve: flags.pull }),
    ...(Object.keys(registry).length === 0 ? {} : { registry }),
  };
}

/** An image name as the daemon understands it, wherever it runs. */
export function absoluteName(name: string): string {
  const local = LOCAL_NAME.exec(name);
  return local === null ? name : `${local[1]}:${join(process.cwd(), "/")}${local[2]}`;
}

function registryAccess({ variables }: Environment, flags: RegistryFlags): RegistryAccess {
  assertAuthfile(flags.authfile);
  const authfile = flags.authfile ?? namedCredentials(variables);
  return {
    ...(authfile === undefined ? {} : { authfile: resolve(authfile) }),
    ...(flags.plainHttp === undefined ? {} : { plainHttp: flags.plainHttp }),
    ...(flags.tls === undefined ? {} : { tls: flags.tls }),
    ...(flags.tlsVerify === false ? { tlsVerify: false } : {}),
    ...(flags.certDir === undefined ? {} : { certDir: resolve(flags.certDir) }),
    ...(flags.mirror === undefined ? {} : { mirror: flags.mirror }),
  };
}

/** The credentials file that this environment names; the daemon was started in another. */
function namedCredentials(variables: Environment["variables"]): string | undefined {
  const { REGISTRY_AUTH_FILE: authFile = "", DOCKER_CONFIG: docker = "" } = variables;
  const named = [authFile, docker === "" ? "" : join(docker, "config.json")];
  return named.find((path) => path !== "" && existsSync(path));
}
