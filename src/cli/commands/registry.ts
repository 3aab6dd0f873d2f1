/**
 * `esgz registry`: runs a registry.
 *
 * @module
 */
import type { Command } from "commander";
import { addSharedFlags, CommandContext, type SharedFlags } from "../command-context.ts";
import type { Environment } from "../environment.ts";
import { readFlagFile } from "../read-flag-file.ts";
import { EsgzError } from "../../errors/index.ts";

interface Flags extends SharedFlags {
  readonly root?: string;
  readonly listen: string;
  readonly htpasswd?: string;
  readonly tokenAuth?: boolean;
  readonly anonymousPull?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly collectGarbage?: boolean;
}

/** Adds the command. */
export function registerRegistry(program: Command, environment: Environment): void {
  addSharedFlags(program.command("registry"))
    .description("run a registry that keeps images in memory or in a directory")
    .option("--root <dir>", "keep content in this directory (default: in memory)")
    .option("--listen <host:port>", "where to listen; port 0 takes a free one", "127.0.0.1:5000")
    .option("--htpasswd <file>", "users with bcrypt passwords (htpasswd -B); everybody else is refused")
    .option("--token-auth", "with --htpasswd: answer with bearer tokens instead of Basic")
    .option("--anonymous-pull", "with --htpasswd: let everybody pull")
    .option("--tls-cert <file>", "certificate chain, PEM")
    .option("--tls-key <file>", "private key, PEM")
    .option("--collect-garbage", "remove what no manifest refers to from --root, and end")
    .action(async (flags: Flags) => run(new CommandContext(environment, flags), flags));
}

async function run(context: CommandContext, flags: Flags): Promise<void> {
  assertFlagsBelong(flags);
  const { startRegistryServer } = await import("../../registry-server/index.ts");
  const { host, port } = parseListen(flags.listen);
  await using server = await startRegistryServer({
    host,
    port: flags.collectGarbage === true ? 0 : port,
    ...(flags.root === undefined ? {} : { root: flags.root }),
    ...(flags.htpasswd === undefined ? {} : { htpasswd: readFlagFile("--htpasswd", flags.htpasswd) }),
    ...(flags.tokenAuth === true ? { token: {} } : {}),
    ...(flags.anonymousPull === true ? { anonymousPull: true } : {}),
    ...tlsOf(flags),
  });
  if (flags.collectGarbage === true) {
    const report = await server.collectGarbage();
    await context.print(report, `${JSON.stringify(report)}\n`);
    return;
  }
  await context.print(
    { url: server.url, host: server.host, port: server.port },
    `registry at ${server.url}\n`,
  );
  const { signal } = context.environment;
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** A flag that would do nothing alone is refused: without `--htpasswd` the registry would be open to everybody. */
function assertFlagsBelong({ root, htpasswd, tokenAuth, anonymousPull, collectGarbage }: Flags): void {
  const needs: readonly (readonly [boolean | undefined, string, string, string | undefined])[] = [
    [tokenAuth, "--token-auth", "--htpasswd", htpasswd],
    [anonymousPull, "--anonymous-pull", "--htpasswd", htpasswd],
    [collectGarbage, "--collect-garbage", "--root", root],
  ];
  for (const [given, flag, needed, value] of needs) {
    if (given !== true || value !== undefined) continue;
    throw new EsgzError("USAGE_INVALID", `Cannot use ${flag}: expected ${needed} with it, got none`);
  }
}

function tlsOf(flags: Flags): { tls?: { cert: string; key: string } } {
  const { tlsCert, tlsKey } = flags;
  if (tlsCert === undefined && tlsKey === undefined) return {};
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new EsgzError(
      "USAGE_INVALID",
      "Cannot start registry: expected --tls-cert and --tls-key together, got one",
    );
  }
  return { tls: { cert: readFlagFile("--tls-cert", tlsCert), key: readFlagFile("--tls-key", tlsKey) } };
}

function parseListen(text: string): { host: string; port: number } {
  const match = /^(?:(.*):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port > 65535) {
    throw new EsgzError("USAGE_INVALID", `Cannot listen on "${text}": expected HOST:PORT`);
  }
  return { host: (match[1] ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1"), port };
}
