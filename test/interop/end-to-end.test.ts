/**
 * What a new user does: an image of one's own, made by umoci, becomes eStargz in two registries, is pulled back from them,
 * and runs in runc and crun.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { CommandLine } from "../cli/command-line.fixture.ts";
import { freePort } from "../registry/free-port.ts";

const shell = new CommandLine();
const children: ChildProcess[] = [];
const registries = new Map<string, string>();
const missing = ["umoci", "busybox"].filter((name) => !has(name));

function has(name: string): boolean {
  return (
    spawnSync("sh", ["-c", `command -v ${name}`], { env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } })
      .status === 0
  );
}

before(async () => {
  if (missing.length > 0) return;
  makeImage();
  const { line } = await shell.start(["registry", "--root", "store", "--listen", "127.0.0.1:0"]);
  registries.set("esgz registry", /127\.0\.0\.1:\d+/.exec(line)?.[0] ?? "");
  if (has("docker-registry")) registries.set("docker-registry", await startDockerRegistry());
});

after(async () => {
  for (const child of children) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    if (child.exitCode === null && child.kill()) await gone;
  }
  await shell[Symbol.asyncDispose]();
});

/** A busybox with a greeting, in two layers, the way umoci's users make images. */
function makeImage(): void {
  const { directory } = shell;
  const umoci = (...args: string[]): void =>
    void execFileSync("umoci", args, { cwd: directory, stdio: ["ignore", "ignore", "inherit"] });
  const tree = join(directory, "tree");
  for (const name of ["bin", "proc", "dev", "sys", "tmp", "etc"])
    mkdirSync(join(tree, name), { recursive: true });
  const busybox = execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
  copyFileSync(busybox, join(tree, "bin/busybox"));
  for (const applet of ["sh", "cat", "id", "stat"]) symlinkSync("busybox", join(tree, "bin", applet));
  writeFileSync(join(directory, "greeting"), "hello from the second layer\n");
  umoci("init", "--layout", "image");
  umoci("new", "--image", "image:plain");
  umoci("insert", "--image", "image:plain", "tree", "/");
  umoci("insert", "--image", "image:plain", "greeting", "/etc/greeting");
  umoci("config", "--image", "image:plain", "--config.cmd", "/bin/cat", "--config.cmd", "/etc/greeting");
}

async function startDockerRegistry(): Promise<string> {
  const port = await freePort();
  const config = join(shell.directory, "registry.yml");
  const root = join(shell.directory, "docker-registry");
  writeFileSync(
    config,
    `version: 0.1\nlog: { level: error }\nstorage: { filesystem: { rootdirectory: ${root} } }\nhttp: { addr: "127.0.0.1:${port}" }\n`,
  );
  const child = spawn("docker-registry", ["serve", config], { stdio: "ignore" });
  children.push(child);
  while (!(await answers(port))) {
    assert.equal(child.exitCode, null, "the registry ended while it started");
    await delay(50);
  }
  return `127.0.0.1:${port}`;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.end(() => resolve(true)));
    socket.once("error", () => resolve(false));
  });
}

for (const name of ["esgz registry", "docker-registry"]) {
  test(`an image made by umoci goes through ${name} as eStargz, verifies, and comes back the same`, async (t) => {
    const registry = needRegistry(t, name);
    if (registry === undefined) return;
    const image = `${registry}/mine/busybox:esgz`;
    await succeed("convert", "oci:image:plain", image);
    await succeed("verify", image);
    assert.match(await succeed("inspect", image), /estargz +lazy/);
    assert.equal(await succeed("cat", image, "/etc/greeting"), "hello from the second layer\n");
    const root = `root-${name.replaceAll(" ", "-")}`;
    await succeed("pull", image, "--to", `rootfs:${root}`);
    const pulled = join(shell.directory, root);
    assert.equal(readFileSync(join(pulled, "etc/greeting"), "utf8"), "hello from the second layer\n");
    assert.deepEqual(
      readFileSync(join(pulled, "bin/busybox")),
      readFileSync(join(shell.directory, "tree/bin/busybox")),
    );
  });
}

for (const runtime of ["runc", "crun"]) {
  test(`${runtime} runs what was pulled`, async (t) => {
    const registry = needRegistry(t, "esgz registry");
    if (registry === undefined) return;
    if (process.geteuid?.() !== 0) return t.skip("needs root");
    if (!has(runtime)) return t.skip(`${runtime} is not installed`);
    const bundle = join(shell.directory, `bundle-${runtime}`);
    mkdirSync(bundle);
    await succeed("convert", "oci:image:plain", `${registry}/mine/${runtime}:esgz`);
    await succeed("pull", `${registry}/mine/${runtime}:esgz`, "--to", `rootfs:${join(bundle, "rootfs")}`);
    const env = { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
    execFileSync(runtime, ["spec"], { cwd: bundle, env });
    const config = JSON.parse(readFileSync(join(bundle, "config.json"), "utf8")) as {
      process: { terminal: boolean; args: string[] };
    };
    config.process.terminal = false;
    config.process.args = ["/bin/cat", "/etc/greeting"];
    writeFileSync(join(bundle, "config.json"), JSON.stringify(config));
    const state = join(shell.directory, `state-${runtime}`);
    const name = `esgz-test-${process.pid}`;
    // In a mount namespace of its own, and for crun, which knows no machine with both generations of cgroups at once,
    // without the second one.
    const script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"';
    const argv = ["-m", "sh", "-c", script, "sh", runtime, "--root", state, "run", "--bundle", bundle, name];
    const output = execFileSync("unshare", argv, { encoding: "utf8", env });
    assert.equal(output, "hello from the second layer\n");
  });
}

function needRegistry(t: TestContext, name: string): string | undefined {
  if (missing.length > 0) t.skip(`${missing.join(" and ")} not installed`);
  else if (!registries.has(name)) t.skip(`${name} is not installed`);
  return registries.get(name);
}

async function succeed(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await shell.run(args);
  assert.equal(status, 0, stderr);
  return stdout;
}
