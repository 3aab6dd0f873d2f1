// The kubelet's way: containerd's CRI plugin on the snapshotter, pulled through the proxy that learns credentials.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { systemClock } from "../../src/async/index.ts";
import { listMountsBelow } from "../../src/erofs-mount/index.ts";
import { ImageStatusRequestSchema, ImageStatusResponseSchema } from "../../src/grpc/gen/image-service_pb.ts";
import { Code, createClient, createUnixTransport, ImageService, serveGrpc } from "../../src/grpc/index.ts";
import type { Credential } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import {
  credentialFrom,
  type ImageCredentials,
  routeImageService,
  routeSnapshots,
  Snapshotter,
} from "../../src/snapshotter/index.ts";
import { DirectoryLayers } from "./directory-layers.ts";
import { isInstalled, startContainerd, whyNoContainerd } from "./private-containerd.ts";
import { makeSampleImage } from "./sample-image.ts";

/** Writes down what it is told. */
class Learned implements ImageCredentials {
  readonly calls: unknown[][] = [];

  async learn(image: string, credential: Credential | undefined): Promise<void> {
    this.calls.push(await Promise.resolve(["learn", image, credential]));
  }

  async refuse(image: string, credential: Credential | undefined): Promise<void> {
    this.calls.push(await Promise.resolve(["refuse", image, credential]));
  }

  async forget(image: string): Promise<void> {
    this.calls.push(await Promise.resolve(["forget", image]));
  }
}

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-images-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test("fields and metadata that the proxy does not know pass through it both ways", async (t) => {
  const folder = await folderFor(t);
  const unknown = { no: 77, wireType: 2, data: Uint8Array.of(3, 97, 98, 99) };
  const seen: unknown[] = [];
  await using backend = await serveGrpc({
    listen: { path: join(folder, "backend.sock") },
    routes: (router) =>
      router.service(ImageService, {
        imageStatus: (request, { requestHeader }) => {
          seen.push(request.$unknown, requestHeader.get("x-trace"));
          return Object.assign(create(ImageStatusResponseSchema), { $unknown: [unknown] });
        },
        pullImage: () => Promise.reject(new Error("no such image")),
      }),
  });
  using toBackend = createUnixTransport({ path: join(folder, "backend.sock") });
  const credentials = new Learned();
  const routes = { backend: toBackend.transport, credentials };
  await using proxy = await serveGrpc({
    listen: { path: join(folder, "proxy.sock") },
    routes: (router) => routeImageService(router, routes),
  });
  using unix = createUnixTransport({ path: join(folder, "proxy.sock"), metadata: { "x-trace": "42" } });
  const client = createClient(ImageService, unix.transport);
  const request = create(ImageStatusRequestSchema, { image: { image: "one" } });
  const response = await client.imageStatus(Object.assign(request, { $unknown: [unknown] }));
  assert.deepEqual(seen, [[unknown], "42"]);
  assert.deepEqual(response.$unknown, [unknown]);
  const auth = { username: "user", password: "wrong" };
  await assert.rejects(client.pullImage({ image: { image: "one" }, auth }), { code: Code.Internal });
  assert.deepEqual(credentials.calls, [
    ["learn", "one", auth],
    ["refuse", "one", auth],
  ]);
  unix.close();
  await proxy.close();
  toBackend.close();
  await backend.close();
});

test("credentialFrom() reads what kubelets send", () => {
  const message = {
    username: "",
    password: "",
    auth: "",
    serverAddress: "",
    identityToken: "",
    registryToken: "",
  };
  const from = (fields: object): Credential | undefined =>
    credentialFrom({ $typeName: "runtime.v1.AuthConfig", ...message, ...fields });
  assert.equal(credentialFrom(undefined), undefined);
  assert.equal(from({}), undefined);
  assert.deepEqual(from({ username: "u", password: "p" }), { username: "u", password: "p" });
  // printf 'user:pa:ss' | base64
  assert.deepEqual(from({ auth: "dXNlcjpwYTpzcw==" }), { username: "user", password: "pa:ss" });
  assert.deepEqual(from({ identityToken: "t" }), { identityToken: "t" });
  assert.deepEqual(from({ registryToken: "t" }), { registryToken: "t" });
});

test("containerd's CRI pulls a private image lazily, through the proxy", async (t) => {
  const reason = await whyNoContainerd();
  if (reason !== undefined) return t.skip(reason);
  if (!(await isInstalled("htpasswd"))) return t.skip("htpasswd is not installed");
  const sockets = await folderFor(t);
  const path = join(sockets, "stargz.sock");
  const layers = new DirectoryLayers();
  const snapshots = await folderFor(t);
  const snapshotter = await Snapshotter.open({ root: snapshots, clock: systemClock, remote: layers });
  // Before containerd, whose CRI plugin connects at its start.
  const server = await serveGrpc({
    listen: { path },
    routes: (router) => routeSnapshots(router, snapshotter),
  });
  const containerd = await startContainerd(t, {
    cri: true,
    plugins: [
      `[proxy_plugins.stargz]\n  type = "snapshot"\n  address = "${path}"`,
      '[plugins."io.containerd.grpc.v1.cri"]\n  stream_server_port = "0"',
      '[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "stargz"\n  disable_snapshot_annotations = false',
    ],
    onEnd: async () => {
      await server.close();
      await snapshotter.close();
      for (const { mountPoint } of await listMountsBelow(snapshots)) await layers.unmount(mountPoint);
    },
  });
  using toContainerd = createUnixTransport({ path: containerd.socket });
  const credentials = new Learned();
  const proxied = { backend: toContainerd.transport, credentials };
  const proxyPath = join(sockets, "images.sock");
  await using proxy = await serveGrpc({
    listen: { path: proxyPath },
    routes: (router) => routeImageService(router, proxied),
  });

  const { stdout: htpasswd } = await promisify(execFile)("htpasswd", ["-nbB", "-C", "4", "user", "secret"]);
  await using registry = await startRegistryServer({ htpasswd });
  const image = await makeSampleImage(containerd.folder, { layers: 3 });
  const name = `${registry.host}:${registry.port}/team/private:1`;
  await containerd.ctr("images", "import", "--snapshotter", "native", image.archive);
  await containerd.ctr("images", "tag", image.name, name);
  await containerd.ctr("images", "push", "--plain-http", "--user", "user:secret", name);
  await containerd.ctr("images", "rm", "--sync", image.name, name);
  for (const { digest, directory } of image.layers) layers.directories.set(digest, directory);

  using unix = createUnixTransport({ path: proxyPath });
  const client = createClient(ImageService, unix.transport);
  await assert.rejects(
    client.pullImage({ image: { image: name }, auth: { username: "user", password: "no" } }),
  );
  const auth = { username: "user", password: "secret" };
  const { imageRef } = await client.pullImage({ image: { image: name }, auth });
  assert.match(imageRef, /^sha256:/);
  const [request] = layers.requests;
  assert.equal(request?.reference, name);
  assert.deepEqual(
    request.imageLayers,
    image.layers.map(({ digest }) => digest),
  );
  // Those that follow are asked for ahead, too.
  assert.equal(new Set(layers.requests.map(({ digest }) => digest)).size, 3);
  assert.equal(snapshotter.list(["kind==committed"]).length, 3);
  await client.removeImage({ image: { image: name } });
  assert.deepEqual(credentials.calls, [
    ["learn", name, { username: "user", password: "no" }],
    ["refuse", name, { username: "user", password: "no" }],
    ["learn", name, auth],
    ["forget", name],
  ]);
  unix.close();
  await proxy.close();
});
