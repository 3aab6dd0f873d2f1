// The additional layer store of Podman and CRI-O: as containers-storage asks for it, and Podman over it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, readlink, rmdir, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { DaemonClient } from "../../src/daemon/index.ts";
import type { LayerBlob } from "../../src/lazyfs/image.fixture.ts";
import { sha256 } from "../../src/lazyfs/image.fixture.ts";
import { RegistryClient } from "../../src/registry/index.ts";
import { type RequestInfo, startRegistryServer } from "../../src/registry-server/index.ts";
import { mountsBelow, temporaryDaemonStore, type TestStore, until } from "../kernel/daemon-setup.ts";
import { Podman, whyNoPodman } from "./podman.ts";
import { busyboxFiles, dataFiles, type LayerPlan, layersOf, pushImage, sumsOf } from "./runnable-image.ts";

const run = promisify(execFile);
const TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest";

interface Served {
  readonly name: string;
  readonly plans: readonly LayerPlan[];
  readonly layers: readonly LayerBlob[];
  /** Bytes of answers so far. */
  readonly sent: () => number;
}

/** Three layers: busybox, 4 MB of files and a whiteout, an opaque directory; this one twice, where `repeated`. */
async function serve(t: TestContext, { repeated = false } = {}): Promise<Served> {
  const requests: RequestInfo[] = [];
  const server = await startRegistryServer({ onRequest: (info) => requests.push(info) });
  t.after(() => server.close());
  const plans = [
    { files: [...(await busyboxFiles()), { name: "etc/gone" }, { name: "opaque/below" }] },
    { files: [...dataFiles("a", { count: 4, size: 1_000_000 }), { name: "etc/.wh.gone" }] },
    { files: [{ name: "opaque/.wh..wh..opq" }, { name: "opaque/above", content: "above\n" }] },
  ];
  if (repeated) plans.push(...plans.slice(-1));
  const layers = await layersOf(plans);
  await using client = new RegistryClient();
  const registry = `127.0.0.1:${server.port}`;
  const name = await pushImage(client, { registry, repository: "team/app", layers });
  requests.length = 0;
  return { name, plans, layers, sent: () => requests.reduce((sum, { bytesSent }) => sum + bytesSent, 0) };
}

/** A daemon that shows layers at a directory, and fetches nothing that is not read. */
async function serveLayers(
  t: TestContext,
): Promise<{ readonly store: TestStore; readonly client: DaemonClient; readonly directory: string }> {
  const store = await temporaryDaemonStore(t);
  const configPath = `${store.root}.toml`;
  await writeFile(configPath, "[fetch]\nbackground = false\n");
  const client = await store.connect({ configPath });
  const directory = `${store.root}-layers`;
  await client.serveLayers(directory);
  return { store, client, directory };
}

function directoryOf(image: string): string {
  return Buffer.from(image).toString("base64");
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

test("a layer is found by the digest of its blob and of its table of contents, and says what engines want to know", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("mounting needs root");
  const { name, layers } = await serve(t);
  const { directory, store } = await serveLayers(t);
  const [, layer] = layers;
  assert.ok(layer !== undefined);
  const digest = sha256(layer.blob);
  const tocDigest = layer.annotations?.[TOC_DIGEST] ?? "";
  const image = join(directory, directoryOf(name));

  assert.deepEqual((await readdir(join(image, digest))).toSorted(), ["blob", "diff", "info"]);
  const info = JSON.parse(await readFile(join(image, digest, "info"), "utf8")) as Record<string, unknown>;
  assert.equal(info["compressed-diff-digest"], digest);
  assert.equal(info["diff-digest"], layer.diffId);
  assert.equal(info["compressed-size"], layer.blob.length);
  assert.equal(info["compression"], 2);
  const byToc = await readFile(join(image, tocDigest, "info"), "utf8");
  assert.match(byToc, /\n$/);
  const { "toc-digest": toc, flags } = JSON.parse(byToc) as Record<string, unknown>;
  assert.deepEqual([toc, flags], [tocDigest, { "expected-layer-diffid": layer.diffId }]);

  const link = await readlink(join(image, digest, "diff"));
  assert.equal(link, await readlink(join(image, tocDigest, "diff")), "one mount for both names");
  const blob = await run("sha256sum", [join(image, tocDigest, "blob")]);
  assert.equal(`sha256:${blob.stdout.slice(0, 64)}`, digest);
  assert.equal((await stat(join(image, digest, "diff", "etc/gone"))).rdev, 0);
  assert.ok((await stat(join(image, digest, "diff", "etc/gone"))).isCharacterDevice(), "a whiteout");
  assert.equal(await readlink(join(directory, "pool")), join(store.root, "pool"));

  const unknown = sha256(Buffer.from("unknown"));
  await assert.rejects(stat(join(image, unknown)), isMissing);
  await assert.rejects(stat(join(directory, directoryOf(`${name}2`))), isMissing);
  await assert.rejects(stat(join(directory, "not base64")), isMissing);
  await assert.rejects(mkdir(join(directory, "other")), { code: "EROFS" });
});

test("a layer is shown while somebody uses it, also by the next server, and not any longer", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("mounting needs root");
  const { name, layers, plans } = await serve(t);
  const { directory, client, store } = await serveLayers(t);
  const [, layer] = layers;
  assert.ok(layer !== undefined);
  const place = join(directory, directoryOf(name), sha256(layer.blob));
  const use = async (): Promise<void> => await assert.rejects(writeFile(join(place, "use"), ""), isMissing);
  const release = async (): Promise<void> => await assert.rejects(rmdir(place), isMissing);
  const sums = async (): Promise<string> =>
    (await run("sh", ["-c", `cd ${place}/diff && sha256sum data/*`])).stdout.replaceAll("  data", "  /data");

  await use();
  await use();
  const { pid } = await client.info();
  const reading = sums();
  process.kill(pid, "SIGKILL");
  assert.equal(await reading, sumsOf(plans));
  await release();
  await use();
  await release();
  assert.deepEqual((await readdir(place)).length, 3);
  assert.equal((await client.mounts()).length, 1, "one use is left");
  await release();
  await until(async () => (await client.mounts()).length === 0, "the layer's end");
  await until(
    async () => (await client.usage()).layers.every(({ pinned }) => !pinned),
    "the end of all uses",
  );
  await client.removeLayerStore(directory);
  assert.deepEqual(
    mountsBelow(store.root).filter((path) => path !== join(store.root, "fuse")),
    [],
  );
  await assert.rejects(client.removeLayerStore(directory), { code: "FILE_NOT_FOUND" });
});

test("Podman runs an image whose layers it has not downloaded", async (t) => {
  const reason = await whyNoPodman(tmpdir());
  if (reason !== undefined) return t.skip(reason);
  const { name, layers, plans, sent } = await serve(t);
  const { directory, client, store } = await serveLayers(t);
  const podman = await Podman.configure(store.directory("podman"), directory);
  const size = layers.reduce((sum, { blob }) => sum + blob.length, 0);

  await podman.pull(name);
  assert.equal(await podman.container(name, ["/bin/ls", "/opaque"]), "above\n");
  await assert.rejects(podman.container(name, ["/bin/cat", "/etc/gone"]));
  assert.ok(sent() < size / 2, `${sent()} of ${size} bytes travelled`);
  const { stdout } = await run("du", ["-s", "--block-size=1", podman.storage]);
  assert.ok(Number.parseInt(stdout, 10) < 1_000_000, `Podman has ${stdout.split("\t")[0]} bytes`);
  const all = ["/bin/sh", "-c", "sha256sum /data/*"];
  assert.equal(await podman.container(name, all), sumsOf(plans));

  const { pid } = await client.info();
  process.kill(pid, "SIGKILL");
  assert.equal(await podman.container(name, all), sumsOf(plans), "after another server took over");
  await podman.remove(name);
  await until(async () => (await client.mounts()).length === 0, "the end of all mounts");
});

test("Podman runs an image that has a layer twice, which it downloads", async (t) => {
  const reason = await whyNoPodman(tmpdir());
  if (reason !== undefined) return t.skip(reason);
  const { name, layers, plans } = await serve(t, { repeated: true });
  assert.equal(new Set(layers.map(({ blob }) => sha256(blob))).size, layers.length - 1);
  const { directory, client, store } = await serveLayers(t);
  const podman = await Podman.configure(store.directory("podman"), directory);
  await podman.pull(name);
  assert.equal(await podman.container(name, ["/bin/ls", "/opaque"]), "above\n");
  assert.equal(await podman.container(name, ["/bin/sh", "-c", "sha256sum /data/*"]), sumsOf(plans));
  assert.equal((await client.mounts()).length, 2);
  await podman.remove(name);
  const left = async (): Promise<number> => (await readdir(join(store.root, "layers"))).length;
  await until(async () => (await left()) === 0, "the end of all layers");
});

test("commands that want the same store at once get one", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("mounting needs root");
  const store = await temporaryDaemonStore(t);
  const client = await store.connect();
  const directory = `${store.root}-layers`;
  await Promise.all(Array.from({ length: 4 }, () => client.serveLayers(directory)));
  assert.deepEqual(mountsBelow(directory), [directory]);
});
