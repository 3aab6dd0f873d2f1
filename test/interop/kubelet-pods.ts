/**
 * A node under the kubelet itself: static pods on containerd with esgz as its snapshotter.
 *
 * Runs where `ESGZ_KUBELET` names a directory with `kubelet`; `ESGZ_CONTAINERD` one with another containerd, ctr and shim than
 * those of the machine. docs/interoperability.md says what was run.
 */
import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { mountsBelow, until } from "../kernel/daemon-setup.ts";
import { type LazyNode, whyNoNode } from "./lazy-node.ts";
import { servePodImages } from "./pod-images.ts";
import { startPodNode } from "./pod-node.ts";
import { sumsOf } from "./runnable-image.ts";
import { StandaloneKubelet, whyNoKubelet } from "./standalone-kubelet.ts";

const ALL = "sha256sum /data/*";

test("the kubelet runs pods before their images are there, counts what they take, and has what it removes go", async (t) => {
  const reason = whyNoKubelet() ?? (await whyNoNode(["htpasswd", "unshare"]));
  if (reason !== undefined) return t.skip(reason);
  const { pause, app, secret, size, sent, plans } = await servePodImages(t);
  // Where the machine's containerd is 1.6, it has no transfer service.
  const transfer = process.env["ESGZ_CONTAINERD"] !== undefined;
  const node = await startPodNode(t, { pause, transfer });
  const registry = secret.slice(0, secret.indexOf("/"));
  const kubelet = await StandaloneKubelet.start(node, { [registry]: { username: "user", password: "word" } });

  const script = "echo begun; exec sleep 100000";
  const { container } = await kubelet.run({ name: "app", image: app, command: ["/bin/sh", "-c", script] });
  assert.ok(sent() < size / 2, `${sent()} of ${size} bytes travelled`);
  const other = await kubelet.run({ name: "secret", image: secret, command: ["/bin/sleep", "100000"] });
  assert.deepEqual(new Set(node.prepared()), new Set(["true"]));
  await until(async () => (await printed(kubelet)).includes("begun"), "a line in the pod's log");

  const reading = exec(node, container, ALL);
  await node.killServer();
  assert.equal(await reading, sumsOf(plans));
  await node.killHolder({ server: false });
  assert.match(await exec(node, other.container, ALL), /b1\n$/);
  await node.reconnected();
  for (const name of ["app", "secret"]) assert.equal((await kubelet.pod(name))?.restarts, 0);

  await exec(node, container, "cat /data/a0 /data/a1 > /written");
  await until(
    async () => ((await kubelet.figures()).written.get("app")?.usedBytes ?? 0) > 2_000_000,
    "figures",
  );
  const { images } = await kubelet.figures();
  assert.ok(images.usedBytes > 0 && images.availableBytes > images.usedBytes, JSON.stringify(images));
  assert.doesNotMatch(kubelet.log(), /Failed to get the info of the filesystem/);

  for (const name of ["app", "secret"]) await kubelet.end(name);
  assert.ok((await node.layers()) > 0);
  await kubelet.restart({ pressure: true });
  // containerd 2 has the kubelet keep the image of sandboxes, whose one layer is the lowest of the others.
  const kept = transfer ? 1 : 0;
  await until(async () => (await node.layers()) === kept, "the end of what the kubelet removed");
  assert.equal(mountsBelow(`${node.store}/containerd`).length, kept);
});

/** Runs a command in a container; resolves with what it prints. */
async function exec(node: LazyNode, container: string, command: string): Promise<string> {
  const id = `e${Math.random().toString(36).slice(2)}`;
  return await node.ctr(
    "-n",
    "k8s.io",
    "tasks",
    "exec",
    "--exec-id",
    id,
    container,
    "/bin/sh",
    "-c",
    command,
  );
}

async function printed(kubelet: StandaloneKubelet): Promise<string> {
  const files = await Array.fromAsync(glob(join(kubelet.logs, "*/*/*.log")));
  return (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("");
}
