/**
 * How to reach a cluster's API server: a kubeconfig file.
 *
 * ```yaml
 * current-context: CONTEXT
 * contexts: [{ name: CONTEXT, context: { cluster: CLUSTER, user: USER } }]
 * clusters: [{ name: CLUSTER, cluster: { server, certificate-authority[-data], insecure-skip-tls-verify, tls-server-name } }]
 * users:    [{ name: USER, user: { client-certificate[-data], client-key[-data], token, tokenFile, username, password, exec } }]
 * ```
 *
 * Fields that end in `-data` are base64; relative paths begin at the file. Source: Kubernetes, client-go's api/v1 Config.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { parse } from "yaml";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { ExecPlugin } from "./exec-credential.ts";

/** An API server, and who asks it. Secrets. */
export interface ClusterAccess {
  readonly server: string;
  readonly ca?: Uint8Array | undefined;
  readonly cert?: Uint8Array | undefined;
  readonly key?: Uint8Array | undefined;
  readonly serverName?: string | undefined;
  readonly skipVerify: boolean;
  readonly authorization?: string | undefined;
  /** The program that makes a credential, where the file has none itself. */
  readonly exec?: ExecPlugin | undefined;
}

const Text = v.optional(v.string());
const ClusterSchema = v.object({
  server: v.pipe(v.string(), v.regex(/^https?:\/\//, "expected a URL")),
  "certificate-authority": Text,
  "certificate-authority-data": Text,
  "insecure-skip-tls-verify": v.optional(v.boolean()),
  "tls-server-name": Text,
  "proxy-url": Text,
  extensions: v.optional(v.array(v.object({ name: v.string(), extension: v.unknown() }))),
});
const ExecSchema = v.object({
  apiVersion: v.picklist(["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"]),
  command: v.pipe(v.string(), v.nonEmpty()),
  args: v.nullish(v.array(v.string()), []),
  env: v.nullish(v.array(v.object({ name: v.string(), value: v.string() })), []),
  installHint: Text,
  interactiveMode: v.optional(v.picklist(["Never", "IfAvailable", "Always"])),
  provideClusterInfo: v.optional(v.boolean()),
});
const UserSchema = v.object({
  "client-certificate": Text,
  "client-certificate-data": Text,
  "client-key": Text,
  "client-key-data": Text,
  token: Text,
  tokenFile: Text,
  username: Text,
  password: Text,
  exec: v.nullish(ExecSchema),
});
const FileSchema = v.object({
  "current-context": Text,
  contexts: v.array(
    v.object({ name: v.string(), context: v.object({ cluster: v.string(), user: v.string() }) }),
  ),
  clusters: v.array(v.object({ name: v.string(), cluster: ClusterSchema })),
  users: v.array(v.object({ name: v.string(), user: UserSchema })),
});

type Config = v.InferOutput<typeof FileSchema>;
type User = v.InferOutput<typeof UserSchema>;
type Cluster = v.InferOutput<typeof ClusterSchema>;

/**
 * Reads a file with all the files that it names.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`; its message has no secrets.
 */
export async function readKubeconfig(path: string): Promise<ClusterAccess> {
  try {
    const config = v.parse(FileSchema, parse(await readFile(path, "utf8"), { prettyErrors: false }));
    const { cluster, user } = chosen(config);
    const read = fileReader(dirname(path));
    const [ca, cert, key] = await Promise.all([
      read(cluster["certificate-authority-data"], cluster["certificate-authority"]),
      read(user["client-certificate-data"], user["client-certificate"]),
      read(user["client-key-data"], user["client-key"]),
    ]);
    const authorization = await authorizationOf(user, read);
    const isKnown = authorization !== undefined || cert !== undefined;
    return {
      server: cluster.server.replace(/\/+$/, ""),
      ca,
      cert,
      key,
      serverName: cluster["tls-server-name"],
      skipVerify: cluster["insecure-skip-tls-verify"] === true,
      authorization,
      exec: isKnown ? undefined : pluginOf(user, { directory: dirname(path), cluster, ca }),
    };
  } catch (cause) {
    const text = `Cannot use kubeconfig "${path}": ${problemOf(cause)}`;
    throw new EsgzError("CONFIGURATION_INVALID", text, { cause });
  }
}

/** Without the values that were found: they may be secrets. */
function problemOf(cause: unknown): string {
  if (!v.isValiError(cause)) return messageOf(cause);
  const [issue] = cause.issues;
  return `expected ${issue.expected ?? "another value"} at "${v.getDotPath(issue) ?? ""}"`;
}

function chosen(config: Config): {
  readonly cluster: Cluster;
  readonly user: User;
} {
  const name = config["current-context"] ?? config.contexts[0]?.name;
  const context = config.contexts.find((entry) => entry.name === name)?.context;
  const cluster = config.clusters.find((entry) => entry.name === context?.cluster)?.cluster;
  const user = config.users.find((entry) => entry.name === context?.user)?.user;
  if (cluster === undefined || user === undefined)
    throw new Error(`expected the cluster and the user of context "${name ?? ""}", got none`);
  return { cluster, user };
}

/** What an extension of the cluster's entry may tell programs is named after the API. */
const CONFIG_EXTENSION = "client.authentication.k8s.io/exec";

function pluginOf(
  { exec }: User,
  place: { readonly directory: string; readonly cluster: Cluster; readonly ca: Uint8Array | undefined },
): ExecPlugin | undefined {
  if (exec === undefined || exec === null) return undefined;
  const { apiVersion, args, command, installHint, interactiveMode, provideClusterInfo } = exec;
  if (interactiveMode === "Always")
    throw new Error(`expected a program that needs no terminal, got interactiveMode "Always"`);
  return {
    apiVersion,
    command: command.includes("/") ? resolve(place.directory, command) : command,
    args: args ?? [],
    env: Object.fromEntries((exec.env ?? []).map(({ name, value }) => [name, value])),
    installHint,
    ...(provideClusterInfo === true ? { cluster: clusterInfo(place) } : {}),
  };
}

/** The cluster as programs are told it. */
function clusterInfo({
  ca,
  cluster,
}: {
  readonly cluster: Cluster;
  readonly ca: Uint8Array | undefined;
}): Readonly<Record<string, unknown>> {
  const config = cluster.extensions?.find(({ name }) => name === CONFIG_EXTENSION)?.extension;
  return {
    server: cluster.server,
    "tls-server-name": cluster["tls-server-name"],
    "insecure-skip-tls-verify": cluster["insecure-skip-tls-verify"],
    "certificate-authority-data": ca === undefined ? undefined : Buffer.from(ca).toString("base64"),
    "proxy-url": cluster["proxy-url"],
    config,
  };
}

type ReadData = (data: string | undefined, file: string | undefined) => Promise<Uint8Array | undefined>;

function fileReader(directory: string): ReadData {
  return async (data, file) => {
    if (data !== undefined && data !== "") return Buffer.from(data, "base64");
    return file === undefined || file === "" ? undefined : await readFile(resolve(directory, file));
  };
}

async function authorizationOf(user: User, read: ReadData): Promise<string | undefined> {
  const { token, tokenFile, username, password } = user;
  const text = (await read(undefined, tokenFile))?.toString() ?? token;
  if (text !== undefined && text !== "") return `Bearer ${text.trim()}`;
  if (username === undefined || password === undefined) return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
