// containerd with the daemon as its snapshotter, as users set it up: images that are not unpacked, run by runc and crun.
import assert from "node:assert/strict";
import { glob, writeFile } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { RegistryClient } from "../../src/registry/index.ts";
import { type RequestInfo, startRegistryServer } from "../../src/registry-server/index.ts";
import type { LayerBlob } from "../../src/lazyfs/image.fixture.ts";
import { Line, mountsBelow, until } from "../kernel/daemon-setup.ts";
import { containerId } from "../snapshotter/private-containerd.ts";
import { LazyNode, whyNoNode } from "./lazy-node.ts";
import { busyboxFiles, dataFiles, type LayerPlan, layersOf, pushImage, sumsOf } from "./runnable-image.ts";

/** Only what is read travels. */
const LAZY_ONLY = "no_background_fetch = true\n";

interface Served {
  readonly name: string;
  readonly layers: readonly LayerBlob[];
  readonly requests: readonly RequestInfo[];
  readonly line: Line;
  /** Bytes of answers so far. */
  readonly sent: () => number;
}

async function serve(t: TestContext, layers: readonly LayerBlob[]): Promise<Served> {
  const requests: RequestInfo[] = [];
  const server = await startRegistryServer({ onRequest: (info) => requests.push(info) });
  t.after(() => server.close());
  await using client = new RegistryClient();
  const line = await Line.open(t, server.port);
  const name = await pushImage(client, {
    registry: `127.0.0.1:${line.port}`,
    repository: "team/app",
    layers,
  });
  requests.length = 0;
  const sent = (): number => requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  return { name, layers, requests, line, sent };
}

async function samplePlans(count = 3): Promise<readonly LayerPlan[]> {
  const upper = Array.from({ length: count - 1 }, (_, index) => ({
    files: [
      ...dataFiles(`layer${index}-`, { count: 4, size: 1_000_000 }),
      { name: "etc/layer", content: `${index + 1}\n` },
      ...(index === 0 ? [{ name: "etc/.wh.gone" }] : []),
    ],
  }));
  const lowest = {
    files: [...(await busyboxFiles()), { name: "etc/gone" }, { name: "etc/layer", content: "0\n" }],
  };
  return [lowest, ...upper];
}

const SUM_ALL = ["/bin/sh", "-c", "sha256sum /data/*"];

test("an image runs without being pulled, by runc and crun, over a restart of containerd; what is removed is gone", async (t) => {
  const reason = await whyNoNode(["ctr-remote", "crun"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  const { layers, name, sent } = await serve(t, await layersOf(await samplePlans()));
  await node.rpull(name, "--plain-http");
  assert.deepEqual(node.prepared(), ["true", "true", "true"]);
  assert.equal(await node.container(name, ["/bin/cat", "/etc/layer"]), "2\n");
  assert.equal(
    await node.container(name, ["/bin/cat", "/etc/layer"], ["--runc-binary", await node.crun()]),
    "2\n",
  );
  await assert.rejects(node.container(name, ["/bin/cat", "/etc/gone"]), /No such file/);
  const size = layers.reduce((sum, { blob }) => sum + blob.length, 0);
  assert.ok(sent() < size / 3, `${sent()} of ${size} bytes travelled`);

  const id = containerId();
  await node.ctr("run", "--detach", "--snapshotter", "stargz", name, id, "/bin/sleep", "1000");
  await node.stopContainerd();
  await node.startContainerd();
  const exec = ["tasks", "exec", "--exec-id", "e1", id, "/bin/cat", "/etc/layer"];
  assert.equal(await node.ctr(...exec), "2\n");
  assert.match(await node.ctr("snapshots", "--snapshotter", "stargz", "usage"), /MiB|KiB/);
  await node.removeContainer(id);
  await node.ctr("images", "rm", "--sync", name);
  await until(() => mountsBelow(`${node.store}/containerd`).length === 0, "the end of all mounts");
  assert.equal((await node.info()).mounts, 0);
  await until(async () => (await node.layers()) === 0, "the end of all layers");
});

test("containers read on without an error while servers are killed and the registry comes and goes", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  const plans = await samplePlans();
  const { name, line } = await serve(t, await layersOf(plans));
  await node.rpull(name, "--plain-http");
  const script = "echo begun; for f in /data/*; do sha256sum $f || exit 1; sleep 0.5; done";
  const { output } = await node.startContainer(name, script);
  for (let round = 0; round < 3; round += 1) await node.killServer();
  await line.cut();
  await node.killServer();
  await line.mend();
  assert.equal(await output, `begun\n${sumsOf(plans)}`);

  // All is there now: nothing needs the registry, not even a server that begins anew.
  await line.cut();
  await node.killServer();
  await node.reconnected();
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
  await node.stopDaemon();
  await node.startDaemon();
  await node.reconnected();
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
});

test("a layer that is not eStargz is unpacked, the others stay remote; a small one costs nothing", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  const plans = [
    { files: await busyboxFiles() },
    { files: dataFiles("small", { count: 1, size: 1000 }), plain: true },
    { files: dataFiles("plain", { count: 4, size: 1_000_000 }), plain: true },
    { files: dataFiles("lazy", { count: 2, size: 1_000_000 }) },
  ];
  const { name } = await serve(t, await layersOf(plans));
  await node.rpull(name, "--plain-http");
  assert.deepEqual(node.prepared(), ["true", "true", "false", "true"]);
  const [decline] = node.log().filter((line) => line["remote-snapshot-prepared"] === "false");
  assert.equal(decline?.["reason"], "its manifest names no table of contents");
  assert.equal((await node.info()).snapshots?.declined[0]?.reason, decline?.["reason"]);
  assert.match(await node.esgz("doctor"), /unpacked .* its manifest names no table of contents/);
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
});

test("images of 60 and 100 layers are lazy, more than a label can list", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  for (const count of [60, 100]) {
    const upper = Array.from({ length: count - 1 }, (_, index) => ({
      files: [{ name: `data/${String(index).padStart(3, "0")}`, content: `${count} ${index}\n` }],
    }));
    const { name } = await serve(t, await layersOf([{ files: await busyboxFiles() }, ...upper]));
    const before = node.prepared().length;
    await node.rpull(name, "--plain-http");
    const isLazy = node.prepared().slice(before);
    // The lowest layer may be there already.
    assert.ok(isLazy.length >= count - 1 && isLazy.every((answer) => answer === "true"));
    const lines = await node.container(name, ["/bin/sh", "-c", "cat /data/*"]);
    assert.equal(lines, Array.from({ length: count - 1 }, (_, index) => `${count} ${index}\n`).join(""));
  }
});

test("a server that is killed while an image is asked for leaves nothing half-made", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  const plans = await samplePlans(12);
  const { name } = await serve(t, await layersOf(plans));
  const first = node.rpull(name, "--plain-http").catch((error: unknown) => error);
  await until(() => node.prepared().length > 2, "a prepared layer");
  await node.killServer();
  await first;
  await node.reconnected();
  await node.collectGarbage();
  await node.rpull(name, "--plain-http");
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
  await node.ctr("images", "rm", "--sync", name);
  await until(() => mountsBelow(`${node.store}/containerd`).length === 0, "the end of all mounts");
});

test("snapshots outlive the daemon's holder, and all of the daemon, with the registry down", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  const plans = await samplePlans();
  const { line, name } = await serve(t, await layersOf(plans));
  await node.rpull(name, "--plain-http");
  const { output } = await node.startContainer(name, "echo begun; sleep 4; sha256sum /data/*");
  await node.killHolder({ server: false });
  assert.equal(await output, `begun\n${sumsOf(plans)}`);

  await line.cut();
  await node.killHolder({ server: true });
  await node.reconnected();
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
});

test("layers whose metadata was damaged are shown again as soon as they can be made again", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const node = await LazyNode.start(t, { config: LAZY_ONLY });
  const plans = await samplePlans();
  const { line, name } = await serve(t, await layersOf(plans));
  await node.rpull(name, "--plain-http");
  await line.cut();
  await node.killHolder({
    server: true,
    meanwhile: async () => {
      for await (const path of glob(`${node.store}/layers/*/meta`)) await writeFile(path, "damaged");
    },
  });
  await node.reconnected();
  await assert.rejects(node.container(name, SUM_ALL), /is unavailable/);
  await line.mend();
  const isRight = async (): Promise<boolean> => {
    const output = await node.container(name, SUM_ALL).catch(() => undefined);
    return output === sumsOf(plans);
  };
  // A registry that did not answer is not asked again at once.
  await until(isRight, "the layers");
});
