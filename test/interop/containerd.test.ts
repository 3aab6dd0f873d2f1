// containerd against the registry: images that other tools made, and converted ones.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, watch } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { convertImage } from "../../src/convert/index.ts";
import { openImage, openImageDestination, openImageSource, verifyLayer } from "../../src/image/index.ts";
import { RegistryClient } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";

const run = promisify(execFile);
const PLATFORM = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };

/** Starts a containerd of its own (root, state and sockets below `folder`) and returns a `ctr` for it. */
async function startContainerd(
  t: TestContext,
  folder: string,
): Promise<(...args: string[]) => Promise<string>> {
  const socket = join(folder, "containerd.sock");
  const config = join(folder, "config.toml");
  await mkdir(join(folder, "state"));
  const lines = [
    "version = 2",
    `root = "${join(folder, "root")}"`,
    `state = "${join(folder, "state")}"`,
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    `[grpc]\n  address = "${socket}"`,
    `[ttrpc]\n  address = "${socket}.ttrpc"`,
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
  const appeared = whenExists(folder, "containerd.sock");
  const child = spawn("containerd", ["-c", config, "-l", "error"], { stdio: "ignore" });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  t.after(async () => {
    child.kill();
    await gone;
    await rm(folder, { recursive: true, maxRetries: 10 });
  });
  await Promise.race([
    appeared,
    gone.then(() => Promise.reject(new Error("containerd ended while it started"))),
  ]);
  return async (...args) => (await run("ctr", ["--address", socket, ...args])).stdout;
}

async function whenExists(folder: string, name: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const watcher = watch(folder, () => {
      if (!existsSync(join(folder, name))) return;
      watcher.close();
      resolve();
    });
  });
}

test("containerd pushes an image to the registry and pulls it back, converted as well", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("containerd needs root");
  for (const tool of ["containerd", "ctr", "umoci"]) {
    if (!(await isInstalled(tool))) return t.skip(`${tool} is not installed`);
  }
  const folder = await mkdtemp(join(tmpdir(), "esgz-containerd-"));
  const ctr = await startContainerd(t, folder);
  await using server = await startRegistryServer({ root: join(folder, "registry") });
  await using registry = new RegistryClient();
  const [plain, converted] = ["plain", "esgz"].map((tag) => `${server.host}:${server.port}/team/base:${tag}`);
  assert.ok(plain !== undefined && converted !== undefined);

  await run("tar", ["-C", await makeLayout(folder), "-cf", join(folder, "image.tar"), "."]);
  await ctr("images", "import", "--base-name", "base", join(folder, "image.tar"));
  await ctr("images", "tag", "base:1", plain);
  await ctr("images", "push", "--plain-http", plain);
  await ctr("images", "rm", "base:1", plain);

  {
    await using source = await openImageSource(plain, { registry });
    await using destination = await openImageDestination(converted, { registry });
    const report = await convertImage(source, destination, {
      format: "estargz",
      jobs: 2,
      temporaryDirectory: folder,
    });
    assert.equal(report.images[0]?.action, "converted");
  }
  for (const name of [plain, converted]) {
    await ctr("images", "pull", "--plain-http", "--snapshotter", "native", name);
    assert.match(await ctr("images", "check", `name==${name}`), / complete /);
  }
  // What containerd has unpacked goes back under another name, and is the same to us.
  const returned = `${server.host}:${server.port}/other/base:returned`;
  await ctr("images", "tag", converted, returned);
  await ctr("images", "push", "--plain-http", returned);
  await using source = await openImageSource(returned, { registry });
  const image = await openImage(source, { platform: PLATFORM });
  for (const layer of image.layers) assert.equal((await verifyLayer(layer)).passed, true);
});

async function isInstalled(tool: string): Promise<boolean> {
  return await run("sh", ["-c", `command -v ${tool}`]).then(
    () => true,
    () => false,
  );
}

/** An OCI layout with one layer, by umoci. */
async function makeLayout(folder: string): Promise<string> {
  const layout = join(folder, "layout");
  await run("umoci", ["init", "--layout", layout]);
  await run("umoci", ["new", "--image", `${layout}:1`]);
  await mkdir(join(folder, "files"));
  await writeFile(join(folder, "files", "large"), Buffer.alloc(3_000_000, "esgz "));
  await run("umoci", ["insert", "--image", `${layout}:1`, join(folder, "files"), "/files"]);
  return layout;
}
