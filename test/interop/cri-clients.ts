/**
 * A node as Kubernetes has it: containerd's CRI plugin on the daemon, asked by `crictl`.
 *
 * Runs where `ESGZ_CRI_TOOLS` names a directory with `crictl`; `ESGZ_CONTAINERD` one with another containerd, ctr and shim than
 * those of the machine. docs/interoperability.md says how they are built.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { RegistryClient } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import { mountsBelow, until } from "../kernel/daemon-setup.ts";
import { criConfiguration, Kubelet, whyNoCrictl } from "./kubelet.ts";
import { LazyNode, whyNoNode } from "./lazy-node.ts";
import { busyboxFiles, dataFiles, layersOf, type LayerPlan, pushImage, sumsOf } from "./runnable-image.ts";

const run = promisify(execFile);
const ALL = ["/bin/sh", "-c", "sha256sum /data/*"];

interface Images {
  readonly pause: string;
  readonly app: string;
  readonly secret: string;
  readonly plans: readonly LayerPlan[];
  readonly size: number;
  /** Bytes of answers of the public registry so far. */
  readonly sent: () => number;
}

async function serveImages(t: TestContext): Promise<Images> {
  let bytes = 0;
  const open = await startRegistryServer({ onRequest: ({ bytesSent }) => (bytes += bytesSent) });
  t.after(() => open.close());
  const htpasswd = (await run("htpasswd", ["-nbB", "user", "word"])).stdout;
  const closed = await startRegistryServer({ htpasswd });
  t.after(() => closed.close());
  const base = { files: await busyboxFiles() };
  const plans = [base, { files: dataFiles("a", { count: 4, size: 1_000_000 }) }];
  const layers = await layersOf(plans);
  const command = ["/bin/sleep", "100000"];
  await using client = new RegistryClient();
  const registry = `127.0.0.1:${open.port}`;
  const pause = await pushImage(client, {
    registry,
    repository: "pause",
    layers: await layersOf([base]),
    command,
  });
  const app = await pushImage(client, { registry, repository: "team/app", layers });
  const credentials = { credentialFor: () => Promise.resolve({ username: "user", password: "word" }) };
  await using member = new RegistryClient({ credentials });
  const secret = await pushImage(member, {
    registry: `127.0.0.1:${closed.port}`,
    repository: "team/secret",
    layers: await layersOf([base, { files: dataFiles("b", { count: 2, size: 300_000 }) }]),
  });
  bytes = 0;
  const size = layers.reduce((sum, { blob }) => sum + blob.length, 0);
  return { pause, app, secret, plans, size, sent: () => bytes };
}

async function startNode(
  t: TestContext,
  { pause }: Images,
  { transfer }: { readonly transfer: boolean },
): Promise<{ readonly node: LazyNode; readonly kubelet: Kubelet }> {
  const containerd = process.env["ESGZ_CONTAINERD"];
  const node = await LazyNode.start(t, {
    // The kubelet's pulls go through the daemon, which learns credentials from them.
    config: (base) => `no_background_fetch = true
[cri_keychain]
enable_keychain = true
image_service_path = "${join(base, "containerd.sock")}"
`,
    cri: criConfiguration({ pause, transfer }),
    ...(containerd === undefined ? {} : { containerd }),
  });
  const kubelet = new Kubelet(node, node.plugin);
  node.beforeEnd(async () => {
    await kubelet.crictl("rmp", "--all", "--force").catch(() => undefined);
  });
  return { node, kubelet };
}

for (const transfer of [false, true]) {
  const by = transfer ? "by the transfer service" : "by the CRI plugin itself";
  test(`pods start from images pulled ${by}, live on when servers are killed, and leave nothing`, async (t) => {
    const reason = whyNoCrictl() ?? (await whyNoNode(["htpasswd"]));
    if (reason !== undefined) return t.skip(reason);
    if (transfer && process.env["ESGZ_CONTAINERD"] === undefined)
      return t.skip("containerd 1.6 has no transfer service; ESGZ_CONTAINERD names no other one");
    await liveOfPods(t, { transfer });
  });
}

async function liveOfPods(t: TestContext, options: { readonly transfer: boolean }): Promise<void> {
  const images = await serveImages(t);
  const { app, secret, size, sent, plans } = images;
  const { node, kubelet } = await startNode(t, images, options);

  await kubelet.crictl("pull", app);
  await kubelet.crictl("pull", "--creds", "user:word", secret);
  assert.deepEqual(node.prepared(), ["true", "true", "true"], "the lowest layer is that of both");
  const pod = await kubelet.pod("one");
  const container = await kubelet.container(pod, app, ["/bin/sleep", "100000"]);
  assert.equal(await kubelet.exec(container, ["/bin/echo", "runs"]), "runs");
  assert.ok(sent() < size / 2, `${sent()} of ${size} bytes travelled`);
  const second = await kubelet.pod("two");
  const private_ = await kubelet.container(second, secret, ["/bin/sleep", "100000"]);
  assert.match(await kubelet.exec(private_, ALL), /b1$/);

  const reading = kubelet.exec(container, ALL);
  await node.killServer();
  assert.equal(`${await reading}\n`, sumsOf(plans));
  assert.equal(`${await kubelet.exec(container, ALL)}\n`, sumsOf(plans));
  await node.reconnected();

  await kubelet.exec(container, ["/bin/sh", "-c", "cat /data/a0 > /written"]);
  await until(async () => (await imageBytes(kubelet)) > 1_000_000, "figures of images");
  await until(async () => (await writtenBytes(kubelet, container)) > 1_000_000, "figures of containers");

  await kubelet.crictl("rmp", "--all", "--force");
  for (const image of [app, secret]) await kubelet.crictl("rmi", image);
  // The pause image stays, whose layer is the lowest of the others.
  const left = (): number => mountsBelow(`${node.store}/containerd`).length;
  await until(() => left() === 1, "the end of the mounts of removed images");
}

/** What images take, as the kubelet reads it. */
async function imageBytes(kubelet: Kubelet): Promise<number> {
  const text = await kubelet.crictl("imagefsinfo", "--output", "json");
  const { status } = JSON.parse(text) as {
    readonly status: {
      readonly imageFilesystems: readonly { readonly usedBytes: { readonly value: string } }[];
    };
  };
  return Number(status.imageFilesystems[0]?.usedBytes.value ?? 0);
}

/** What a container has written. */
async function writtenBytes(kubelet: Kubelet, container: string): Promise<number> {
  const text = await kubelet.crictl("stats", "--output", "json", container);
  const { stats } = JSON.parse(text) as {
    readonly stats: readonly {
      readonly writableLayer?: { readonly usedBytes?: { readonly value: string } };
    }[];
  };
  return Number(stats[0]?.writableLayer?.usedBytes?.value ?? 0);
}
