/**
 * Credentials from the pull secrets of a cluster.
 *
 * @module
 */
import { Agent, request } from "undici";
import * as v from "valibot";
import { SingleFlight, systemClock } from "../async/index.ts";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import {
  type Credential,
  type CredentialProvider,
  type CredentialQuery,
  type DockerConfig,
  parseDockerConfig,
  storedCredential,
} from "../registry/index.ts";
import { ExecCredentials } from "./exec-credential.ts";
import { type ClusterAccess, readKubeconfig } from "./kubeconfig.ts";

/** Which cluster. */
export interface SecretCredentialsOptions {
  /** The kubeconfig file; it is read at each question to the cluster, and may come later. */
  readonly path: string;
  /** The environment, for programs that make credentials. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly onProblem: (problem: string) => void;
}

const QUERY = "fieldSelector=type%3Dkubernetes.io%2Fdockerconfigjson&limit=500";
const KEY = ".dockerconfigjson";
/** What was listed is believed for so long; and so long where it has no answer. */
const FRESH_MS = 30_000;
const PATIENCE_MS = 3000;
const TIMEOUT_MS = 10_000;
const MAX_BYTES = 64 << 20;
const MAX_PAGES = 200;
const UNAUTHORIZED = 401;

const ListSchema = v.object({
  metadata: v.optional(v.object({ continue: v.optional(v.string()) })),
  items: v.array(
    v.object({
      type: v.optional(v.string()),
      metadata: v.object({ name: v.string(), namespace: v.optional(v.string()) }),
      data: v.optional(v.record(v.string(), v.string())),
    }),
  ),
});

/**
 * Credentials of all `kubernetes.io/dockerconfigjson` secrets that the kubeconfig's user may list. They are listed when they
 * are asked for, not watched: a node that pulls nothing asks nothing. While no server answers, what was listed last counts.
 */
export class SecretCredentials implements CredentialProvider, AsyncDisposable {
  readonly #options: SecretCredentialsOptions;
  readonly #flights = new SingleFlight<"list", void>();
  readonly #ending = new AbortController();
  readonly #programs: ExecCredentials;
  #configs: readonly DockerConfig[] = [];
  #listedMs = -Infinity;

  constructor(options: SecretCredentialsOptions) {
    this.#options = options;
    this.#programs = new ExecCredentials(options);
  }

  async credentialFor(registry: string, { repository }: CredentialQuery): Promise<Credential | undefined> {
    await this.#refresh(FRESH_MS);
    const known = this.#find(registry, repository);
    if (known !== undefined) return known;
    // Its secret may have been made just before the pod.
    await this.#refresh(PATIENCE_MS);
    return this.#find(registry, repository);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    return Promise.resolve();
  }

  #find(registry: string, repository: string | undefined): Credential | undefined {
    for (const config of this.#configs) {
      const found = storedCredential(config, registry, repository);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #refresh(maxAgeMs: number): Promise<void> {
    if (systemClock.nowMs() - this.#listedMs < maxAgeMs) return;
    await this.#flights.run("list", async () => {
      try {
        this.#configs = await this.#list();
      } catch (error) {
        if (!this.#ending.signal.aborted)
          this.#options.onProblem(`Cannot list the pull secrets of the cluster: ${messageOf(error)}`);
      }
      this.#listedMs = systemClock.nowMs();
    });
  }

  async #list(): Promise<readonly DockerConfig[]> {
    const access = await readKubeconfig(this.#options.path);
    try {
      return await this.#listAs(await this.#withCredential(access));
    } catch (error) {
      if (access.exec === undefined || !isRefusal(error)) throw error;
      // It may have been taken back before it expired.
      this.#programs.forget();
      return await this.#listAs(await this.#withCredential(access));
    }
  }

  async #withCredential(access: ClusterAccess): Promise<ClusterAccess> {
    if (access.exec === undefined) return access;
    const { cert, key, token } = await this.#programs.get(access.exec, { signal: this.#ending.signal });
    const authorization = token === undefined ? undefined : `Bearer ${token}`;
    return { ...access, authorization, cert, key };
  }

  async #listAs(access: ClusterAccess): Promise<readonly DockerConfig[]> {
    const { ca, cert, key, serverName, skipVerify } = access;
    const connect = {
      rejectUnauthorized: !skipVerify,
      ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
      ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
      ...(key === undefined ? {} : { key: Buffer.from(key) }),
      ...(serverName === undefined ? {} : { servername: serverName }),
    };
    const dispatcher = new Agent({ connect, maxResponseSize: MAX_BYTES });
    try {
      return await this.#listPages(access, dispatcher);
    } finally {
      await dispatcher.destroy();
    }
  }

  async #listPages(access: ClusterAccess, dispatcher: Agent): Promise<readonly DockerConfig[]> {
    const configs: DockerConfig[] = [];
    let next: string | undefined;
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const at = next === undefined ? "" : `&continue=${encodeURIComponent(next)}`;
      const list = await this.#fetch(access, { path: `/api/v1/secrets?${QUERY}${at}`, dispatcher });
      for (const { data, metadata } of list.items) {
        const text = data?.[KEY];
        const name = `secret ${metadata.namespace ?? ""}/${metadata.name}`;
        if (text !== undefined)
          configs.push(...this.#parse(Buffer.from(text, "base64").toString("utf8"), name));
      }
      next = list.metadata?.continue;
      if (next === undefined || next === "") break;
    }
    return configs;
  }

  async #fetch(
    { server, authorization }: ClusterAccess,
    { dispatcher, path }: { readonly path: string; readonly dispatcher: Agent },
  ): Promise<v.InferOutput<typeof ListSchema>> {
    const { statusCode, body } = await request(`${server}${path}`, {
      dispatcher,
      signal: AbortSignal.any([this.#ending.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      headers: { accept: "application/json", ...(authorization === undefined ? {} : { authorization }) },
    });
    if (statusCode === 200) return v.parse(ListSchema, await body.json());
    await body.dump();
    throw new EsgzError("CREDENTIALS_INVALID", `expected status 200 from ${server}, got ${statusCode}`, {
      details: { status: statusCode },
    });
  }

  /** One that cannot be read is no reason to do without the others. */
  #parse(text: string, name: string): readonly DockerConfig[] {
    try {
      return [parseDockerConfig(text, name)];
    } catch (error) {
      this.#options.onProblem(messageOf(error));
      return [];
    }
  }
}

function isRefusal(error: unknown): boolean {
  return isEsgzError(error, "CREDENTIALS_INVALID") && error.details["status"] === UNAUTHORIZED;
}
