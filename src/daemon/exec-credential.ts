/**
 * Credentials for a cluster that a program makes, as kubectl's plugins do.
 *
 * ```text
 * daemon ── KUBERNETES_EXEC_INFO: ExecCredential with `spec` ──> program
 * daemon <── stdout: ExecCredential with `status`:
 *            { expirationTimestamp?, token? } or { ..., clientCertificateData, clientKeyData }
 * ```
 *
 * Source: Kubernetes, client.authentication.k8s.io/v1 and v1beta1.
 *
 * @module
 */
import { spawn } from "node:child_process";
import * as v from "valibot";
import { systemClock } from "../async/index.ts";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";

/** Which program, and what it is told. */
export interface ExecPlugin {
  readonly apiVersion: string;
  /** Looked for in PATH if it has no slash, else absolute. */
  readonly command: string;
  readonly args: readonly string[];
  /** Beside the environment of the daemon. */
  readonly env: Readonly<Record<string, string>>;
  /** For people, where there is no such program. */
  readonly installHint?: string | undefined;
  /** The cluster, for programs that want to know it. */
  readonly cluster?: Readonly<Record<string, unknown>> | undefined;
}

/** What a program made. Secrets. */
export interface ExecCredential {
  readonly token?: string | undefined;
  readonly cert?: Uint8Array | undefined;
  readonly key?: Uint8Array | undefined;
}

/** What {@link ExecCredentials} works with. */
export interface ExecCredentialsOptions {
  /** The environment of the daemon. */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** How long a program may take, in milliseconds; 30 seconds by default. */
  readonly timeoutMs?: number | undefined;
}

interface Kept {
  readonly credential: ExecCredential;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

const TIMEOUT_MS = 30_000;
const MAX_OUTPUT_BYTES = 1 << 20;
/** What is about to expire is made anew: it has to arrive before that. */
const MARGIN_MS = 10_000;

const Text = v.optional(v.pipe(v.string(), v.nonEmpty()));
const AnswerSchema = v.object({
  apiVersion: v.string(),
  kind: v.literal("ExecCredential"),
  status: v.object({
    expirationTimestamp: v.optional(v.pipe(v.string(), v.isoTimestamp())),
    token: Text,
    clientCertificateData: Text,
    clientKeyData: Text,
  }),
});

/** Runs programs, and believes what they made until it expires. */
export class ExecCredentials {
  readonly #options: ExecCredentialsOptions;
  /** What one program made last: one configuration has one. */
  #kept: { readonly key: string; readonly made: Kept } | undefined;

  constructor(options: ExecCredentialsOptions) {
    this.#options = options;
  }

  /**
   * What the program made last, or makes now.
   *
   * @throws {EsgzError} `CREDENTIALS_INVALID`; its message has no secrets.
   */
  async get(plugin: ExecPlugin, options: { readonly signal?: AbortSignal } = {}): Promise<ExecCredential> {
    const key = JSON.stringify(plugin);
    const kept = this.#kept?.key === key ? this.#kept.made : undefined;
    if (kept !== undefined && systemClock.wallMs() < kept.expiresMs - MARGIN_MS) return kept.credential;
    const made = await this.#make(plugin, options.signal);
    this.#kept = { key, made };
    return made.credential;
  }

  /** The cluster did not accept what was made: the next one is made anew. */
  forget(): void {
    this.#kept = undefined;
  }

  async #make(plugin: ExecPlugin, signal: AbortSignal | undefined): Promise<Kept> {
    const { command } = plugin;
    try {
      const limit = AbortSignal.timeout(this.#options.timeoutMs ?? TIMEOUT_MS);
      const output = await runPlugin(plugin, {
        variables: this.#options.variables,
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
      return answerIn(output, plugin);
    } catch (cause) {
      const hint =
        systemCodeOf(cause) === "ENOENT" && plugin.installHint !== undefined ? `; ${plugin.installHint}` : "";
      const text = `Cannot get a credential from "${command}": ${reasonOf(cause)}${hint}`;
      throw new EsgzError("CREDENTIALS_INVALID", text, { cause });
    }
  }
}

function reasonOf(cause: unknown): string {
  if (systemCodeOf(cause) === "ENOENT") return "expected a program, got none";
  if (cause instanceof Error && cause.name === "TimeoutError") return "expected it to end in time";
  return messageOf(cause);
}

/** What it writes to standard output. It ends with all that it started, where it takes too long or says too much. */
async function runPlugin(
  plugin: ExecPlugin,
  options: { readonly variables: ExecCredentialsOptions["variables"]; readonly signal: AbortSignal },
): Promise<string> {
  const { apiVersion, args, cluster, command, env } = plugin;
  const { signal, variables } = options;
  signal.throwIfAborted();
  const spec = { ...(cluster === undefined ? {} : { cluster }), interactive: false };
  const info = JSON.stringify({ kind: "ExecCredential", apiVersion, spec });
  const child = spawn(command, args, {
    env: { ...variables, ...env, KUBERNETES_EXEC_INFO: info },
    // What it has to say to people stands in the log.
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const end = (): void => endGroup(child.pid);
  signal.addEventListener("abort", end, { once: true });
  try {
    const ended = new Promise<number | string | null>((resolve, reject) =>
      child.once("error", reject).once("exit", (code, by) => resolve(code ?? by)),
    );
    ended.catch(() => undefined);
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of child.stdout as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_OUTPUT_BYTES) throw new Error(`expected at most ${MAX_OUTPUT_BYTES} bytes, got more`);
      parts.push(part);
    }
    const status = await ended;
    signal.throwIfAborted();
    if (status !== 0) throw new Error(`expected exit status 0, got ${status}`);
    return Buffer.concat(parts).toString("utf8");
  } finally {
    signal.removeEventListener("abort", end);
    end();
  }
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // All of it has ended.
  }
}

function answerIn(output: string, { apiVersion }: ExecPlugin): Kept {
  const parsed = v.safeParse(AnswerSchema, jsonIn(output));
  if (!parsed.success) {
    const [issue] = parsed.issues;
    // Without the value that was found: it may be a secret.
    throw new Error(
      `expected ${issue.expected ?? "a value"} at "${v.getDotPath(issue) ?? ""}" of its answer`,
    );
  }
  if (parsed.output.apiVersion !== apiVersion) throw new Error(`expected an answer of ${apiVersion}`);
  const { clientCertificateData, clientKeyData, expirationTimestamp, token } = parsed.output.status;
  const hasPair = clientCertificateData !== undefined && clientKeyData !== undefined;
  if (!hasPair && (token === undefined || clientCertificateData !== undefined || clientKeyData !== undefined))
    throw new Error("expected a token, or a client's certificate with its key");
  return {
    credential: {
      token,
      ...(hasPair ? { cert: Buffer.from(clientCertificateData), key: Buffer.from(clientKeyData) } : {}),
    },
    expiresMs: expirationTimestamp === undefined ? Infinity : Date.parse(expirationTimestamp),
  };
}

/** What the parser says of text that is no JSON quotes the text. */
function jsonIn(output: string): unknown {
  try {
    return JSON.parse(output);
  } catch {
    throw new Error("expected JSON on its standard output");
  }
}
