// The kubelet's way: containerd's CRI plugin over the daemon, which learns credentials from the pulls that pass through it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { createClient, createUnixTransport, ImageService } from "../../src/grpc/index.ts";
import { RegistryClient } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import { until } from "../kernel/daemon-setup.ts";
import { containerId } from "../snapshotter/private-containerd.ts";
import { LazyNode, whyNoNode } from "./lazy-node.ts";
import { busyboxFiles, dataFiles, layersOf, pushImage, sumsOf } from "./runnable-image.ts";

const CRI = `[plugins."io.containerd.grpc.v1.cri"]
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "stargz"
  disable_snapshot_annotations = false`;

test("credentials of a pull serve later reads, also of another server, until the image is removed", async (t) => {
  const reason = await whyNoNode(["htpasswd"]);
  if (reason !== undefined) return t.skip(reason);
  const { stdout: htpasswd } = await promisify(execFile)("htpasswd", ["-nbB", "-C", "4", "user", "a secret"]);
  await using registry = await startRegistryServer({ htpasswd });
  const address = `127.0.0.1:${registry.port}`;
  const auth = { username: "user", password: "a secret" };
  await using client = new RegistryClient({ credentials: { credentialFor: () => Promise.resolve(auth) } });
  const plans = [{ files: await busyboxFiles() }, { files: dataFiles("a", { count: 4, size: 500_000 }) }];
  const name = await pushImage(client, {
    registry: address,
    repository: "team/app",
    layers: await layersOf(plans),
  });

  const config = (base: string): string => `noprefetch = true
no_background_fetch = true
[cri_keychain]
enable_keychain = true
image_service_path = "${join(base, "containerd.sock")}"
`;
  const node = await LazyNode.start(t, { config, cri: CRI });
  using unix = createUnixTransport({ path: node.plugin });
  const images = createClient(ImageService, unix.transport);
  const image = { image: name };
  // containerd answers before its image service does.
  const serves = async (): Promise<boolean> =>
    await images.imageFsInfo({}).then(
      () => true,
      () => false,
    );
  await until(serves, "containerd's image service");
  await assert.rejects(images.pullImage({ image, auth: { username: "user", password: "no" } }));
  await images.pullImage({ image, auth });
  assert.deepEqual(node.prepared(), ["true", "true"]);
  for (const file of ["credentials", "credentials.key"])
    assert.ok(!(await readFile(join(node.store, file))).includes("a secret"));

  await node.killServer();
  await node.reconnected();
  const container = ["-n", "k8s.io", "run", "--rm", "--snapshotter", "stargz", name, containerId()];
  assert.equal(await node.ctr(...container, "/bin/sh", "-c", "sha256sum /data/*"), sumsOf(plans));
  await images.removeImage({ image });
  assert.ok(!node.log().some(({ msg }) => String(msg).includes("a secret")));
});
