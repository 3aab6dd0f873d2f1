// BuildKit over the daemon, as its own documentation shows it. Not part of `npm test`: Debian has no BuildKit.
// `ESGZ_BUILDKIT=DIR npm run buildkit`, where DIR has `buildkitd` and `buildctl`; Go has to be installed.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { estargzOf, type LayerBlob } from "../../src/lazyfs/image.fixture.ts";
import { openImage, openImageSource } from "../../src/image/index.ts";
import { RegistryClient } from "../../src/registry/index.ts";
import { type RequestInfo, startRegistryServer } from "../../src/registry-server/index.ts";
import { BuildKit, type BuildWorker } from "./build-node.ts";
import { LazyNode, whyNoNode } from "./lazy-node.ts";
import { busyboxFiles, layersOf, pushImage } from "./runnable-image.ts";

const run = promisify(execFile);
const PROGRAMS = process.env["ESGZ_BUILDKIT"];
const LAZY_ONLY = "no_background_fetch = true\n";
const PLATFORM = { os: "linux", architecture: process.arch === "x64" ? "amd64" : process.arch };

const MAIN = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello from a lazy base") }\n';
const MODULE = "module example.test/hello\n\ngo 1.21\n";
const SETTINGS = "ENV PATH=/usr/local/go/bin:/bin HOME=/tmp CGO_ENABLED=0 GOFLAGS=-mod=mod GOTELEMETRY=off\n";

interface Registry {
  readonly address: string;
  readonly client: RegistryClient;
  readonly requests: RequestInfo[];
  /** Bytes of answers since the last call. */
  readonly takeSent: () => number;
}

async function startRegistry(t: TestContext): Promise<Registry> {
  const requests: RequestInfo[] = [];
  const server = await startRegistryServer({ onRequest: (info) => requests.push(info) });
  const client = new RegistryClient();
  t.after(async () => {
    await client.close();
    await server.close();
  });
  const takeSent = (): number => requests.splice(0).reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  return { address: `127.0.0.1:${server.port}`, client, requests, takeSent };
}

/** Go as it is installed here, in a layer of its own. */
async function goLayers(): Promise<readonly LayerBlob[]> {
  const root = (await run("go", ["env", "GOROOT"])).stdout.trim();
  const left = ["test", "api", "doc", "misc"].map((name) => `--exclude=./${name}`);
  const tar = await run("tar", ["-C", root, ...left, "--transform", "s,^[.],usr/local/go,", "-c", "."], {
    encoding: "buffer",
    maxBuffer: 2 ** 30,
  });
  return [...(await layersOf([{ files: await busyboxFiles() }])), await estargzOf(tar.stdout)];
}

function sizeOf(layers: readonly LayerBlob[]): number {
  return layers.reduce((sum, { blob }) => sum + blob.length, 0);
}

async function setUp(
  t: TestContext,
  worker: BuildWorker,
): Promise<{ node: LazyNode; kit: BuildKit; registry: Registry } | undefined> {
  const reason = PROGRAMS === undefined ? "ESGZ_BUILDKIT names no directory" : await whyNoNode(["go"]);
  if (reason !== undefined || PROGRAMS === undefined) {
    t.skip(reason);
    return undefined;
  }
  const registry = await startRegistry(t);
  const node = await LazyNode.start(t, { config: LAZY_ONLY, bare: worker === "oci" });
  return { node, registry, kit: await BuildKit.start({ programs: PROGRAMS, node, worker }) };
}

for (const worker of ["oci", "containerd"] as const) {
  test(`the ${worker} worker builds on a base that is not pulled, remembers it, and leaves it in the registry`, async (t) => {
    const parts = await setUp(t, worker);
    if (parts === undefined) return;
    const { kit, node, registry } = parts;
    const layers = await goLayers();
    const base = await pushImage(registry.client, {
      registry: registry.address,
      repository: "base/go",
      layers,
    });
    registry.takeSent();
    const dockerfile = `FROM ${base} AS build\n${SETTINGS}WORKDIR /src\nCOPY . .\nRUN go build -o /hello .\nFROM scratch\nCOPY --from=build /hello /hello\n`;
    const files = { Dockerfile: dockerfile, "main.go": MAIN, "go.mod": MODULE };
    const folder = join(node.base, "context");
    const out = join(node.base, "out");
    const build = async (): Promise<string> =>
      await kit.build(folder, { files, output: `type=local,dest=${out}` });
    const beginMs = performance.now();
    await build();
    const ms = Math.round(performance.now() - beginMs);
    assert.equal((await run(join(out, "hello"))).stdout, "hello from a lazy base\n");
    assert.deepEqual(node.prepared(), ["true", "true"]);
    const sent = registry.takeSent();
    t.diagnostic(`${worker}: ${sent} of ${sizeOf(layers)} bytes travelled in ${ms} ms`);
    // What a round trip is worth is taken along with each read: the more, the longer this machine's answers take. Up to 54 MB of
    // 78.5 were seen.
    assert.ok(sent < (sizeOf(layers) * 3) / 4);

    const again = await build();
    assert.match(again, /\[build 4\/4\] RUN go build.*\n#\d+ CACHED/);
    assert.doesNotMatch(again, /DONE [1-9]\d*\.\ds.*RUN/);
    registry.takeSent();

    const pushed = `${registry.address}/team/tool:1`;
    const second = `FROM ${base}\nCOPY main.go /etc/main.go\nRUN test -s /etc/main.go && touch /etc/built\n`;
    await kit.build(folder, {
      files: { ...files, Dockerfile: second },
      output: `type=image,name=${pushed},push=true,store=false`,
    });
    const mounts = registry.requests.filter(
      ({ method, status, url }) => method === "POST" && status === 201 && url.includes("mount="),
    );
    assert.equal(mounts.length, layers.length, "the base's layers were mounted");
    assert.ok(registry.takeSent() < sizeOf(layers) / 10);
    await rm(out, { recursive: true });
  });
}

// BuildKit lists a layer and those above it in a label, cuts the list to what a label may hold, and then makes the label's key
// longer (util/estargz/labels.go, cache/refs.go): from 56 layers on its own metadata refuses the label, and it asks nobody.
// With ESGZ_BUILDKIT_LAYERS=1, for a BuildKit without this fault, all have to be lazy.
test("bases of many layers stay lazy, as far as BuildKit asks", async (t) => {
  const parts = await setUp(t, "oci");
  if (parts === undefined) return;
  const { kit, node, registry } = parts;
  for (const count of [55, 60, 100]) {
    const upper = Array.from({ length: count - 1 }, (_, index) => ({
      files: [{ name: `data/${index}`, content: `${count} ${index}\n` }],
    }));
    // A layer that another base has left lazy in BuildKit makes the build fail there, not only be eager.
    const lowest = [...(await busyboxFiles()), { name: "etc/count", content: `${count}` }];
    const layers = await layersOf([{ files: lowest }, ...upper]);
    const repository = `base/layers-${count}`;
    const base = await pushImage(registry.client, { registry: registry.address, repository, layers });
    const before = node.prepared().length;
    const out = join(node.base, `out-${count}`);
    const dockerfile = `FROM ${base}\nRUN cat /data/* > /sum\nFROM scratch\nCOPY --from=0 /sum /sum\n`;
    const beginMs = performance.now();
    const files = { Dockerfile: dockerfile };
    await kit.build(join(node.base, "context"), { files, output: `type=local,dest=${out}` });
    const prepared = node.prepared().slice(before);
    t.diagnostic(`${count} layers: ${Math.round(performance.now() - beginMs)} ms, ${prepared.length} lazy`);
    const isAsked = count < 56 || process.env["ESGZ_BUILDKIT_LAYERS"] === "1";
    assert.deepEqual(
      prepared,
      Array.from({ length: isAsked ? count : 0 }, () => "true"),
    );
    assert.equal((await readFile(join(out, "sum"), "utf8")).split("\n").length, count);
  }
});

test("what BuildKit exports as eStargz starts lazily", async (t) => {
  const parts = await setUp(t, "oci");
  if (parts === undefined) return;
  const { kit, node: builder, registry } = parts;
  const layers = await layersOf([{ files: await busyboxFiles() }]);
  const base = await pushImage(registry.client, {
    registry: registry.address,
    repository: "base/busybox",
    layers,
  });
  const name = `${registry.address}/team/export:1`;
  const dockerfile = `FROM ${base}\nRUN echo built > /etc/built\nCMD ["/bin/cat", "/etc/built"]\n`;
  const compression = "compression=estargz,force-compression=true,oci-mediatypes=true";
  await kit.build(join(builder.base, "context"), {
    files: { Dockerfile: dockerfile },
    output: `type=image,name=${name},push=true,${compression}`,
  });
  await using source = await openImageSource(name, { registry: registry.client });
  const image = await openImage(source, { platform: PLATFORM });
  for (const { descriptor } of image.layers)
    assert.match(descriptor.annotations?.["containerd.io/snapshot/stargz/toc.digest"] ?? "", /^sha256:/);
  const target = await LazyNode.start(t, { config: LAZY_ONLY });
  await target.rpull(name, "--plain-http");
  assert.deepEqual(new Set(target.prepared()), new Set(["true"]));
  assert.equal(await target.container(name, []), "built\n");
});
