// Layers of images whose tag names another image by now, or none: clients ask for them after they have pulled.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createUnixTransport,
  Snapshots,
} from "../../src/grpc/index.ts";
import { type LayerBlob, sha256 } from "../../src/lazyfs/image.fixture.ts";
import { RegistryClient } from "../../src/registry/index.ts";
import { startRegistryServer } from "../../src/registry-server/index.ts";
import { LazyNode, whyNoNode } from "./lazy-node.ts";
import { layersOf, pushImage } from "./runnable-image.ts";

const TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest";

interface Asked {
  readonly name: string;
  readonly layer: LayerBlob;
  readonly toc: string;
}

/** As ctr-remote's unpacker asks: whether the layer is there without being unpacked. */
async function isLazy(
  client: Client<typeof Snapshots>,
  target: string,
  { layer, name, toc }: Asked,
): Promise<boolean> {
  const digest = sha256(layer.blob);
  const labels = {
    "containerd.io/snapshot.ref": target,
    "containerd.io/snapshot/remote/stargz.reference": name,
    "containerd.io/snapshot/remote/stargz.digest": digest,
    "containerd.io/snapshot/remote/stargz.layers": digest,
    [TOC_DIGEST]: toc,
  };
  try {
    await client.prepare({ snapshotter: "stargz", key: `extract ${target}`, parent: "", labels });
    return false;
  } catch (error) {
    assert.ok(error instanceof ConnectError && error.code === Code.AlreadyExists, String(error));
    return true;
  }
}

test("a layer stays lazy when its tag was moved or deleted, if the client knows its table of contents, and only that one", async (t) => {
  const reason = await whyNoNode([]);
  if (reason !== undefined) return t.skip(reason);
  const server = await startRegistryServer();
  t.after(() => server.close());
  await using registry = new RegistryClient();
  const place = { registry: `127.0.0.1:${server.port}`, repository: "team/app" };
  const [first, second, third] = await layersOf(
    ["first", "second", "third"].map((content) => ({ files: [{ name: "who", content }] })),
  );
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  await pushImage(registry, { ...place, layers: [second] });
  await pushImage(registry, { ...place, layers: [third] });
  const name = await pushImage(registry, { ...place, layers: [first] });
  const node = await LazyNode.start(t, { config: "no_background_fetch = true\n" });
  using unix = createUnixTransport({ path: node.plugin });
  const client = createClient(Snapshots, unix.transport);
  const tocOf = (layer: LayerBlob): string => layer.annotations?.[TOC_DIGEST] ?? "";
  const ask = async (target: string, layer: LayerBlob, toc = tocOf(layer)): Promise<boolean> =>
    await isLazy(client, target, { name, layer, toc });
  const whoIn = async (target: string): Promise<string> => {
    const { mounts } = await client.view({ snapshotter: "stargz", key: `view ${target}`, parent: target });
    return await readFile(join(mounts[0]?.source ?? "", "who"), "utf8");
  };

  assert.equal(await ask("moved", second), true);
  assert.equal(await whoIn("moved"), "second");
  assert.equal(await ask("named", first), true);
  assert.equal(await ask("wrong", third, tocOf(first)), false, "another table of contents");
  assert.equal(await ask("unknown", third, ""), false, "nothing proves it");
  assert.equal(await ask("contradicted", first, tocOf(third)), false, "not what the tag's manifest says");

  const { digest } = await registry.repository(place).resolve("1");
  await registry.repository(place).deleteManifest(digest);
  await node.killServer();
  assert.equal(await ask("deleted", third), true);
  assert.equal(await whoIn("deleted"), "third");
  const reasons = node
    .log()
    .flatMap((line) => (line["remote-snapshot-prepared"] === "false" ? [line["reason"]] : []));
  assert.equal(reasons.length, 3);
  assert.match(String(reasons[2]), /names another table of contents than the client's$/);
});
