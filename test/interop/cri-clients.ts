/**
 * A node as Kubernetes has it: containerd's CRI plugin on the daemon, asked by `crictl`.
 *
 * Runs where `ESGZ_CRI_TOOLS` names a directory with `crictl`; `ESGZ_CONTAINERD` one with another containerd, ctr and shim than
 * those of the machine. docs/interoperability.md says how they are built.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { mountsBelow, until } from "../kernel/daemon-setup.ts";
import { Kubelet, whyNoCrictl } from "./kubelet.ts";
import { type LazyNode, whyNoNode } from "./lazy-node.ts";
import { type PodImages, servePodImages } from "./pod-images.ts";
import { startPodNode } from "./pod-node.ts";
import { sumsOf } from "./runnable-image.ts";

const ALL = ["/bin/sh", "-c", "sha256sum /data/*"];

async function startNode(
  t: TestContext,
  images: PodImages,
  options: { readonly transfer: boolean },
): Promise<{ readonly node: LazyNode; readonly kubelet: Kubelet }> {
  const node = await startPodNode(t, { ...options, pause: images.pause });
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
  const images = await servePodImages(t);
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
