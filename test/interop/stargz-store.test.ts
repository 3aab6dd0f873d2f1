// In the place of stargz-store: its name, flags, configuration and socket, under Podman.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { RegistryClient } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import { mountsBelow, temporaryDaemonStore, until } from "../kernel/daemon-setup.ts";
import { isInstalled } from "../snapshotter/private-containerd.ts";
import { Podman, whyNoPodman } from "./podman.ts";
import { busyboxFiles, dataFiles, layersOf, pushImage, sumsOf } from "./runnable-image.ts";

const run = promisify(execFile);
const [STORE, HELPER] = ["stargz-store", "stargz-store-helper"].map((name) =>
  resolve(import.meta.dirname, `../../bin/${name}.js`),
);
const LOGIN = { username: "user", password: "a secret" };

/** A registry that nobody may read from without the login, with an image. */
async function servePrivately(t: TestContext): Promise<{ name: string; sums: string; sent: () => number }> {
  const htpasswd = (await run("htpasswd", ["-nbB", LOGIN.username, LOGIN.password])).stdout;
  let sent = 0;
  const server = await startRegistryServer({ htpasswd, onRequest: ({ bytesSent }) => (sent += bytesSent) });
  t.after(() => server.close());
  const plans = [{ files: await busyboxFiles() }, { files: dataFiles("a", { count: 4, size: 500_000 }) }];
  await using client = new RegistryClient({
    credentials: { credentialFor: () => Promise.resolve(LOGIN) },
  });
  const registry = `127.0.0.1:${server.port}`;
  const layers = await layersOf(plans);
  const name = await pushImage(client, { registry, repository: "team/app", layers });
  sent = 0;
  return { name, sums: sumsOf(plans), sent: () => sent };
}

/** As it was started before, but for the directories. */
async function startStore(t: TestContext): Promise<{
  readonly root: string;
  readonly layers: string;
  readonly socket: string;
  readonly log: string;
  readonly child: ChildProcess;
}> {
  const { root } = await temporaryDaemonStore(t);
  await mkdir(root);
  const [layers, socket, log] = [join(root, "store"), join(root, "store.sock"), `${root}.log`];
  await writeFile(`${root}.toml`, 'no_background_fetch = true\nnoprefetch = true\nmetadata_store = "db"\n');
  const flags = ["-log-level=debug", `-config=${root}.toml`, "-root", root, "--addr", socket, layers];
  const child = spawn(process.execPath, [STORE ?? "", ...flags], {
    stdio: ["ignore", "ignore", openSync(log, "w")],
    env: { ...process.env, HOME: "/nonexistent", DOCKER_CONFIG: "/nonexistent", REGISTRY_AUTH_FILE: "" },
  });
  t.after(() => void child.kill());
  await until(() => mountsBelow(root).includes(layers), "the layer store");
  return { root, layers, socket, log, child };
}

test("Podman runs an image of a private registry over what was stargz-store, which it tells its credentials", async (t) => {
  const reason = await whyNoPodman(tmpdir());
  if (reason !== undefined) return t.skip(reason);
  if (!(await isInstalled("htpasswd"))) return t.skip("htpasswd is not installed");
  const { name, sums, sent } = await servePrivately(t);
  const { child, layers, log, root, socket } = await startStore(t);
  const engine = `${root}-podman`;
  await mkdir(engine);
  const podman = await Podman.configure(engine, layers);
  // What engines with `additional-layer-store-auth-helper` do; this Podman is older.
  const told = run(process.execPath, [HELPER ?? "", socket]);
  told.child.stdin?.end(JSON.stringify({ [name]: LOGIN }));
  await told;

  await podman.pull(name, "--creds", `${LOGIN.username}:${LOGIN.password}`);
  assert.ok(sent() < 1_000_000, `${sent()} bytes travelled`);
  assert.equal(await podman.container(name, ["/bin/sh", "-c", "sha256sum /data/*"]), sums);
  assert.match(await readFile(log, "utf8"), /metadata_store has no effect/);
  assert.ok(!(await readFile(log, "utf8")).includes(LOGIN.password));
  await podman.remove(name);
  const ended = new Promise((end) => child.once("exit", end));
  child.kill("SIGINT");
  await ended;
  assert.deepEqual(mountsBelow(root), []);
  assert.equal(existsSync(socket), false);
});

test("a configuration that would switch verification off is refused, as stargz-store does", async (t) => {
  const { root } = await temporaryDaemonStore(t);
  const config = `${root}.toml`;
  await writeFile(config, "disable_verification = true\n");
  const started = run(process.execPath, [STORE ?? "", "--config", config, "--root", root, `${root}-layers`]);
  await assert.rejects(started, ({ code, stderr }: { code: number; stderr: string }) => {
    assert.match(stderr, /expected verification, got disable_verification/);
    return code === 1 || code === 2;
  });
});
