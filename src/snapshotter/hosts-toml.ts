/**
 * containerd's `hosts.toml`: how one registry is reached.
 *
 * ```toml
 * server = "https://registry.example.com"      # the registry itself; keys below may stand here too
 * [host."https://mirror.example.com"]          # tried before it, in order
 *   capabilities = ["pull", "resolve", "push"]
 *   ca = "ca.pem"                              # or a list
 *   client = [["client.cert", "client.key"]]   # or one file, or a list of files, each with both
 *   skip_verify = false
 *   override_path = false                      # true: the address has the whole path of the API
 *   [host."https://mirror.example.com".header]
 *     x-name = "value"                         # or a list
 * ```
 *
 * Source: containerd, docs/hosts.md.
 *
 * @module
 */
import { isAbsolute, join } from "node:path";
import { parse } from "smol-toml";
import * as v from "valibot";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { EndpointConfig, HostConfig, MirrorConfig } from "../registry/index.ts";

/** A registry's configuration, and what the file says in vain. */
export interface HostsToml {
  readonly config: HostConfig;
  readonly warnings: readonly string[];
}

const texts = v.union([v.string(), v.array(v.string())]);
const hostEntries = {
  capabilities: v.optional(v.array(v.string())),
  ca: v.optional(texts),
  client: v.optional(v.union([v.string(), v.array(texts)])),
  skip_verify: v.optional(v.boolean()),
  override_path: v.optional(v.boolean()),
  header: v.optional(v.record(v.string(), texts)),
};
const hostSchema = v.looseObject(hostEntries);
const fileSchema = v.looseObject({
  ...hostEntries,
  server: v.optional(v.string()),
  host: v.optional(v.record(v.string(), hostSchema)),
});
const KNOWN_KEYS: ReadonlySet<string> = new Set([...Object.keys(hostEntries), "server", "host"]);

type HostTable = v.InferOutput<typeof hostSchema>;

/**
 * Reads the text of a `hosts.toml`. Relative paths are taken from `directory`, where the file lies. Pure.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export function parseHostsToml(text: string, options: { readonly directory: string }): HostsToml {
  const { directory } = options;
  const place = join(directory, "hosts.toml");
  const file = parseFile(text, place);
  const warnings: string[] = [];
  const mirrors: MirrorConfig[] = [];
  for (const [address, table] of Object.entries(file.host ?? {})) {
    const reader: Reader = { directory, warnings, name: `host ${JSON.stringify(address)} of ${place}` };
    const { capabilities } = table;
    if (capabilities !== undefined && !capabilities.includes("pull")) {
      warnings.push(`${reader.name} is not used: it cannot be pulled from`);
    } else mirrors.push({ ...endpointFrom(table, reader), ...addressOf(address, table) });
  }
  const reader: Reader = { directory, warnings, name: place };
  const { server } = file;
  const own = endpointFrom(file, reader);
  const url = server === undefined || server === "" ? {} : addressOf(server, file);
  return { config: { ...own, ...url, ...(mirrors.length === 0 ? {} : { mirrors }) }, warnings };
}

interface Reader {
  readonly directory: string;
  readonly name: string;
  readonly warnings: string[];
}

function parseFile(text: string, place: string): v.InferOutput<typeof fileSchema> {
  let table: Record<string, unknown>;
  try {
    table = parse(text);
  } catch (cause) {
    const [reason] = messageOf(cause).split("\n");
    throw new EsgzError("CONFIGURATION_INVALID", `Cannot parse "${place}": ${reason}`, { cause });
  }
  const result = v.safeParse(fileSchema, table);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const message = `Cannot use "${v.getDotPath(issue) ?? "the file"}" in "${place}": expected ${issue.expected ?? "another value"}, got ${issue.received}`;
  throw new EsgzError("CONFIGURATION_INVALID", message);
}

/** Without `override_path`, the path of the API follows that of the address, unless this is it. */
function addressOf(
  address: string,
  { override_path: isWhole }: HostTable,
): { readonly url: string; readonly wholePath?: true } {
  const named = /^https?:\/\//i.test(address) ? address : `https://${address}`;
  const url = named.replace(/\/+$/, "");
  if (isWhole === true) return { url, wholePath: true };
  return { url: url.endsWith("/v2") ? url : `${url}/v2` };
}

function endpointFrom(table: HostTable, reader: Reader): EndpointConfig {
  const { ca, header, skip_verify: skipVerify } = table;
  for (const key of Object.keys(table)) {
    if (!KNOWN_KEYS.has(key)) reader.warnings.push(`${key} of ${reader.name} has no effect`);
  }
  const headers = Object.entries(header ?? {}).map(([name, value]) => [name, listOf(value).join(", ")]);
  return {
    ...authority(ca, reader),
    ...clientFiles(table.client, reader),
    ...(skipVerify === true ? { skipVerify } : {}),
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
  };
}

function authority(ca: HostTable["ca"], reader: Reader): Pick<EndpointConfig, "caFile"> {
  const paths = listOf(ca ?? []).map((path) => pathIn(reader, path));
  return paths.length === 0 ? {} : { caFile: paths };
}

function clientFiles(
  client: HostTable["client"],
  reader: Reader,
): Pick<EndpointConfig, "certFile" | "keyFile"> {
  const pairs = typeof client === "string" ? [client] : (client ?? []);
  const [first, ...others] = pairs;
  if (first === undefined) return {};
  if (others.length > 0)
    reader.warnings.push(`client of ${reader.name} has more than one certificate: the first is used`);
  const [cert = "", key = cert] = listOf(first);
  return { certFile: pathIn(reader, cert), keyFile: pathIn(reader, key === "" ? cert : key) };
}

function pathIn({ directory }: Reader, path: string): string {
  return isAbsolute(path) ? path : join(directory, path);
}

function listOf(value: string | readonly string[]): readonly string[] {
  return typeof value === "string" ? [value] : value;
}
