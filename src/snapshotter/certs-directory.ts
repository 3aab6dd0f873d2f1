/**
 * containerd's `certs.d`: a directory for each registry.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { type HostsToml, parseHostsToml } from "./hosts-toml.ts";

const MAX_FILE_BYTES = 1024 * 1024;
const DEFAULT_HOST = "_default";

/**
 * How a registry is reached, by the first of these that is there: the directory of its name, of its name with the port written
 * as `_PORT_`, `_default`. In it `hosts.toml`, else Docker's convention: `*.crt` are authorities, `X.cert` and `X.key` the
 * client's. Undefined if there is none. Read at each call, so that a change takes effect.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export function readHostsToml(root: string, registry: string): HostsToml | undefined {
  for (const name of directoryNames(registry)) {
    const directory = join(root, name);
    const names = ifThere(() => readdirSync(directory), directory);
    if (names === undefined) continue;
    if (!names.includes("hosts.toml")) return certificatesIn(directory, names);
    const place = join(directory, "hosts.toml");
    const bytes = ifThere(() => readFileSync(place), place);
    if (bytes === undefined) continue;
    if (bytes.length > MAX_FILE_BYTES) throw unreadable(place, `expected at most ${MAX_FILE_BYTES} bytes`);
    return parseHostsToml(bytes.toString("utf8"), { directory });
  }
  return undefined;
}

function directoryNames(registry: string): readonly string[] {
  const name = registry === "registry-1.docker.io" ? "docker.io" : registry;
  // A name comes from an image reference: it must not lead out of the directory.
  if (!/^[\w.:[\]-]+$/.test(name) || /^\.+$/.test(name)) return [DEFAULT_HOST];
  const withPort = name.replace(/:(\d+)$/, "_$1_");
  return [...new Set([name, withPort, DEFAULT_HOST])];
}

function certificatesIn(directory: string, names: readonly string[]): HostsToml | undefined {
  const sorted = names.toSorted();
  const authorities = sorted.filter((name) => name.endsWith(".crt"));
  const cert = sorted.find((name) => name.endsWith(".cert"));
  const key = cert?.replace(/\.cert$/, ".key");
  const hasClient = cert !== undefined && key !== undefined && sorted.includes(key);
  if (authorities.length === 0 && !hasClient) return undefined;
  const ca: string[] = [];
  for (const name of authorities) {
    const bytes = ifThere(() => readFileSync(join(directory, name), "utf8"), join(directory, name));
    if (bytes !== undefined) ca.push(bytes);
  }
  const client = hasClient ? { certFile: join(directory, cert), keyFile: join(directory, key) } : {};
  return { config: { ...(ca.length === 0 ? {} : { ca }), ...client }, warnings: [] };
}

function ifThere<T>(read: () => T, place: string): T | undefined {
  try {
    return read();
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemCodeOf(error) ?? "")) return undefined;
    throw unreadable(place, messageOf(error), error);
  }
}

function unreadable(place: string, reason: string, cause?: unknown): EsgzError {
  return new EsgzError("CONFIGURATION_INVALID", `Cannot read "${place}": ${reason}`, { cause });
}
