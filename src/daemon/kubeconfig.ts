/**
 * How to reach a cluster's API server: a kubeconfig file.
 *
 * ```yaml
 * current-context: CONTEXT
 * contexts: [{ name: CONTEXT, context: { cluster: CLUSTER, user: USER } }]
 * clusters: [{ name: CLUSTER, cluster: { server, certificate-authority[-data], insecure-skip-tls-verify, tls-server-name } }]
 * users:    [{ name: USER, user: { client-certificate[-data], client-key[-data], token, tokenFile, username, password } }]
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

/** An API server, and who asks it. Secrets. */
export interface ClusterAccess {
  readonly server: string;
  readonly ca?: Uint8Array | undefined;
  readonly cert?: Uint8Array | undefined;
  readonly key?: Uint8Array | undefined;
  readonly serverName?: string | undefined;
  readonly skipVerify: boolean;
  readonly authorization?: string | undefined;
}

const Text = v.optional(v.string());
const ClusterSchema = v.object({
  server: v.pipe(v.string(), v.regex(/^https?:\/\//, "expected a URL")),
  "certificate-authority": Text,
  "certificate-authority-data": Text,
  "insecure-skip-tls-verify": v.optional(v.boolean()),
  "tls-server-name": Text,
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
  exec: v.optional(v.unknown()),
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
    return {
      server: cluster.server.replace(/\/+$/, ""),
      ca,
      cert,
      key,
      serverName: cluster["tls-server-name"],
      skipVerify: cluster["insecure-skip-tls-verify"] === true,
      authorization: await authorizationOf(user, read),
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
  readonly cluster: v.InferOutput<typeof ClusterSchema>;
  readonly user: User;
} {
  const name = config["current-context"] ?? config.contexts[0]?.name;
  const context = config.contexts.find((entry) => entry.name === name)?.context;
  const cluster = config.clusters.find((entry) => entry.name === context?.cluster)?.cluster;
  const user = config.users.find((entry) => entry.name === context?.user)?.user;
  if (cluster === undefined || user === undefined)
    throw new Error(`expected the cluster and the user of context "${name ?? ""}", got none`);
  if (user.exec !== undefined && user.token === undefined && user["client-certificate"] === undefined)
    throw new Error("expected a token or a client's certificate, got a program that makes one");
  return { cluster, user };
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
