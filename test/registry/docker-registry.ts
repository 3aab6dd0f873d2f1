/**
 * The distribution project's registry, as Debian packages it.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

/** A running registry. */
export interface DockerRegistry extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly host: string;
}

const PROGRAM = "/usr/bin/docker-registry";

/** Starts the registry on a free port over a temporary directory; undefined where it is not installed. */
export async function startDockerRegistry(
  options: { readonly htpasswd?: string } = {},
): Promise<DockerRegistry | undefined> {
  if (
    !(await access(PROGRAM).then(
      () => true,
      () => false,
    ))
  )
    return undefined;
  const directory = await mkdtemp(join(tmpdir(), "esgz-docker-registry-"));
  const host = `127.0.0.1:${await freePort()}`;
  const lines = [
    "version: 0.1",
    "log: {level: error, accesslog: {disabled: true}}",
    `storage: {filesystem: {rootdirectory: ${directory}/data}, delete: {enabled: true}}`,
    `http: {addr: "${host}"}`,
  ];
  if (options.htpasswd !== undefined) {
    await writeFile(join(directory, "htpasswd"), options.htpasswd);
    lines.push(`auth: {htpasswd: {realm: test, path: ${directory}/htpasswd}}`);
  }
  await writeFile(join(directory, "config.yml"), `${lines.join("\n")}\n`);
  const child = spawn(PROGRAM, ["serve", join(directory, "config.yml")], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
    await rm(directory, { recursive: true, force: true });
  };
  return { host, [Symbol.asyncDispose]: stop };
}
