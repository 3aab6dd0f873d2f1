// containerd with the snapshotter as its proxy plugin: ordinary images, remote ones, both mixed, over restarts.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "../../src/async/index.ts";
import { listMountsBelow } from "../../src/erofs-mount/index.ts";
import { type GrpcServer, serveGrpc } from "../../src/grpc/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import {
  readOverlaySettings,
  routeSnapshots,
  Snapshotter,
  type SnapshotterEvent,
} from "../../src/snapshotter/index.ts";
import { DirectoryLayers } from "./directory-layers.ts";
import {
  containerId,
  isInstalled,
  type PrivateContainerd,
  startContainerd,
  whyNoContainerd,
} from "./private-containerd.ts";
import { makeSampleImage, type SampleImage } from "./sample-image.ts";

/** containerd whose plugin `stargz` is a snapshotter of this process. */
interface Setup extends PrivateContainerd {
  readonly layers: DirectoryLayers;
  readonly events: SnapshotterEvent[];
  readonly snapshotter: Snapshotter;
  readonly root: string;
  /** Stops serving and starts anew from what is on the disk. */
  restart(): Promise<void>;
}

async function whyNot(tools: readonly string[]): Promise<string | undefined> {
  const reason = await whyNoContainerd();
  if (reason !== undefined) return reason;
  for (const tool of ["busybox", "runc", ...tools])
    if (!(await isInstalled(tool))) return `${tool} is not installed`;
  return undefined;
}

async function setUp(t: TestContext): Promise<Setup> {
  const layers = new DirectoryLayers();
  const events: SnapshotterEvent[] = [];
  let server: GrpcServer | undefined;
  let snapshotter: Snapshotter | undefined;
  const stop = async (): Promise<void> => {
    await server?.close();
    await snapshotter?.close();
  };
  const sockets = await mkdtemp(join(tmpdir(), "esgz-plugin-"));
  const socket = join(sockets, "stargz.sock");
  const containerd = await startContainerd(t, {
    plugins: [`[proxy_plugins.stargz]\n  type = "snapshot"\n  address = "${socket}"`],
    onEnd: async () => {
      await stop();
      for (const { mountPoint } of await listMountsBelow(root)) await layers.unmount(mountPoint);
      await rm(sockets, { recursive: true });
    },
  });
  const root = join(containerd.folder, "snapshotter");
  const start = async (): Promise<void> => {
    snapshotter = await Snapshotter.open({
      root,
      clock: systemClock,
      remote: layers,
      overlaySettings: await readOverlaySettings(),
      onEvent: (event) => events.push(event),
    });
    const current = snapshotter;
    server = await serveGrpc({
      routes: (router) => routeSnapshots(router, current),
      listen: { path: socket },
    });
  };
  await start();
  return {
    ...containerd,
    layers,
    events,
    root,
    get snapshotter() {
      assert.ok(snapshotter !== undefined);
      return snapshotter;
    },
    restart: async () => {
      await stop();
      await start();
    },
  };
}

/** Pushes the sample to a registry and forgets it again; its name there. */
async function push({ ctr }: Setup, image: SampleImage, host: string): Promise<string> {
  const name = `${host}/team/sample:1`;
  await ctr("images", "import", "--snapshotter", "native", image.archive);
  await ctr("images", "tag", image.name, name);
  await ctr("images", "push", "--plain-http", name);
  await ctr("images", "rm", "--sync", image.name, name);
  return name;
}

async function rpull(setup: Setup, name: string, ...flags: string[]): Promise<void> {
  const args = [
    "--address",
    setup.socket,
    ...flags,
    "images",
    "rpull",
    "--plain-http",
    "--snapshotter",
    "stargz",
    name,
  ];
  await promisify(execFile)("ctr-remote", args);
}

async function runContainer({ ctr }: Setup, name: string, ...command: string[]): Promise<string> {
  return await ctr("run", "--rm", "--snapshotter", "stargz", name, containerId(), ...command);
}

test("containerd unpacks, runs and removes an ordinary image on the snapshotter", async (t) => {
  const reason = await whyNot([]);
  if (reason !== undefined) return t.skip(reason);
  const setup = await setUp(t);
  const { ctr, root } = setup;
  const image = await makeSampleImage(setup.folder, { layers: 3 });
  await ctr("images", "import", "--snapshotter", "stargz", image.archive);
  assert.equal(await runContainer(setup, image.name), "2\n");
  assert.equal(
    await runContainer(setup, image.name, "/bin/ls", "/etc"),
    "layer\nlayer-0\nlayer-1\nlayer-2\n",
  );
  await assert.rejects(runContainer(setup, image.name, "/bin/cat", "/gone"), /No such file/);
  // The same, by containerd's own snapshotter.
  await ctr("images", "import", image.archive);
  assert.equal(await ctr("run", "--rm", image.name, containerId()), "2\n");

  const list = await ctr("snapshots", "--snapshotter", "stargz", "ls");
  assert.equal(list.match(/Committed/g)?.length, 3);
  assert.match(await ctr("snapshots", "--snapshotter", "stargz", "usage"), /MiB/);
  assert.match(
    await ctr("snapshots", "--snapshotter", "stargz", "tree"),
    /^ sha256:\w+\n {2}\\_ sha256:\w+\n/,
  );
  await ctr("images", "rm", "--sync", image.name);
  await setup.snapshotter.cleanup();
  assert.equal(setup.snapshotter.size, 0);
  assert.deepEqual(await readdir(join(root, "snapshots")), []);
});

test("ctr-remote pulls an image without its layers, in two namespaces, and a container outlives a restart", async (t) => {
  const reason = await whyNot(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const setup = await setUp(t);
  const { ctr, events, layers, root } = setup;
  const image = await makeSampleImage(setup.folder, { layers: 3 });
  await using server = await startRegistryServer();
  const name = await push(setup, image, `${server.host}:${server.port}`);
  for (const { digest, directory } of image.layers) layers.directories.set(digest, directory);

  await rpull(setup, name);
  assert.deepEqual(
    events.map(({ kind }) => kind),
    ["remote-prepared", "remote-prepared", "remote-prepared"],
  );
  const content = await ctr("content", "ls", "-q");
  for (const { digest } of image.layers) assert.ok(!content.includes(digest));
  const [first] = layers.requests;
  assert.ok(first !== undefined);
  assert.equal(first.reference, name);
  assert.deepEqual(
    first.imageLayers,
    image.layers.map(({ digest }) => digest),
  );
  assert.match(first.tocDigest ?? "", /^sha256:/);
  assert.equal(first.skipVerify, false);
  assert.equal(await runContainer(setup, name), "2\n");
  await assert.rejects(runContainer(setup, name, "/bin/cat", "/gone"), /No such file/);

  // The second namespace gets the same snapshots.
  await rpull(setup, name, "--namespace", "other");
  assert.equal(setup.snapshotter.list(["kind==committed"]).length, 3);
  assert.equal(
    await ctr("-n", "other", "run", "--rm", "--snapshotter", "stargz", name, containerId()),
    "2\n",
  );

  const long = containerId();
  await ctr("run", "--detach", "--snapshotter", "stargz", name, long, "/bin/sleep", "1000");
  layers.isDown = true;
  await setup.restart();
  await setup.snapshotter.restored();
  assert.equal(
    await ctr("tasks", "exec", "--exec-id", "e1", long, "/bin/cat", "/etc/layer-1", "/etc/layer"),
    "2\n",
  );
  layers.isDown = false;
  assert.equal(await runContainer(setup, name), "2\n");
  await ctr("tasks", "kill", "--signal", "SIGKILL", long);
  await ctr("tasks", "delete", "--force", long).catch(() => undefined);
  await ctr("containers", "rm", long);

  await ctr("images", "rm", "--sync", name);
  await ctr("-n", "other", "images", "rm", "--sync", name);
  await setup.snapshotter.cleanup();
  assert.equal(setup.snapshotter.size, 0);
  assert.deepEqual(await listMountsBelow(root), []);
});

test("a layer that is declined is unpacked by containerd, and those above it stay remote", async (t) => {
  const reason = await whyNot(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const setup = await setUp(t);
  const image = await makeSampleImage(setup.folder, { layers: 4 });
  await using server = await startRegistryServer();
  const name = await push(setup, image, `${server.host}:${server.port}`);
  for (const [index, { digest, directory }] of image.layers.entries()) {
    if (index !== 1) setup.layers.directories.set(digest, directory);
  }
  await rpull(setup, name);
  const kinds = setup.events.map(({ kind }) => kind);
  assert.deepEqual(kinds, ["remote-prepared", "declined", "remote-prepared", "remote-prepared"]);
  const [decline] = setup.snapshotter.declines;
  assert.equal(decline?.digest, image.layers[1]?.digest);
  assert.equal(decline?.reason, "it is not an eStargz layer");
  assert.equal(await runContainer(setup, name), "3\n");
  await assert.rejects(runContainer(setup, name, "/bin/cat", "/gone"), /No such file/);
});
