// Registries as they are in the world, for containerd and the daemon as its snapshotter: private, mirrored, with authorities of
// their own; with the configuration of containerd-stargz-grpc, under its name.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { RegistryClient } from "../../src/registry/index.ts";
import {
  type RegistryServer,
  type RegistryServerOptions,
  type RequestInfo,
  startRegistryServer,
} from "../../src/registry-server/index.ts";
import { freePort } from "../registry/free-port.ts";
import { LazyNode, whyNoNode } from "./lazy-node.ts";
import { busyboxFiles, dataFiles, type LayerPlan, layersOf, pushImage, sumsOf } from "./runnable-image.ts";

const run = promisify(execFile);
const SUM_ALL = ["/bin/sh", "-c", "sha256sum /data/*"];

interface Served {
  readonly server: RegistryServer;
  readonly requests: readonly RequestInfo[];
  readonly address: string;
}

async function serve(t: TestContext, options: RegistryServerOptions = {}): Promise<Served> {
  const requests: RequestInfo[] = [];
  const server = await startRegistryServer({ ...options, onRequest: (info) => requests.push(info) });
  t.after(() => server.close());
  return { server, requests, address: `127.0.0.1:${server.port}` };
}

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-registries-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function samplePlans(): Promise<readonly LayerPlan[]> {
  return [{ files: await busyboxFiles() }, { files: dataFiles("a", { count: 3, size: 500_000 }) }];
}

const blobsAsked = ({ requests }: Served): number =>
  requests.filter(({ method, url }) => method === "GET" && url.includes("/blobs/")).length;

test("layers of a private registry are fetched with Docker's credentials, also after these were changed", async (t) => {
  const reason = await whyNoNode(["ctr-remote", "htpasswd"]);
  if (reason !== undefined) return t.skip(reason);
  const folder = await temporary(t);
  const htpasswd = (await run("htpasswd", ["-nbB", "user", "first"])).stdout;
  const other = (await run("htpasswd", ["-nbB", "user", "second"])).stdout;
  const root = join(folder, "registry");
  // One that nobody is given between the two.
  const port = await freePort();
  let registry = await startRegistryServer({ root, htpasswd, port });
  t.after(() => registry.close());
  const address = `127.0.0.1:${port}`;
  const credentials = { credentialFor: () => Promise.resolve({ username: "user", password: "first" }) };
  const plans = await samplePlans();
  await using client = new RegistryClient({ credentials });
  const name = await pushImage(client, {
    registry: address,
    repository: "team/app",
    layers: await layersOf(plans),
  });
  const write = async (password: string): Promise<void> => {
    const auth = Buffer.from(`user:${password}`).toString("base64");
    await writeFile(join(folder, "config.json"), JSON.stringify({ auths: { [address]: { auth } } }));
  };
  await write("first");
  const variables = { DOCKER_CONFIG: folder };
  const node = await LazyNode.start(t, {
    config: "no_background_fetch = true\nnoprefetch = true\n",
    variables,
  });
  await node.rpull(name, "--plain-http", "--user", "user:first");
  assert.deepEqual(node.prepared(), ["true", "true"]);
  assert.equal(await node.container(name, ["/bin/echo", "runs"]), "runs\n");

  await registry.close();
  registry = await startRegistryServer({ root, htpasswd: other, port });
  await write("second");
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
});

test("the configuration of containerd-stargz-grpc works as it is: mirrors with headers, and what has no meaning is named", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const [origin, mirror] = [await serve(t), await serve(t)];
  const plans = await samplePlans();
  const layers = await layersOf(plans);
  await using client = new RegistryClient();
  const name = await pushImage(client, { registry: origin.address, repository: "team/app", layers });
  await pushImage(client, { registry: mirror.address, repository: "team/app", layers });
  const [before, mirrored] = [blobsAsked(origin), blobsAsked(mirror)];
  const config = `
noprefetch = true
max_concurrency = 4
http_cache_type = "memory"
[blob]
chunk_size = 50000
[[resolver.host."${origin.address}".mirrors]]
host = "${mirror.address}"
insecure = true
request_timeout_sec = 5
  [resolver.host."${origin.address}".mirrors.header]
  x-team = ["a"]
`;
  const node = await LazyNode.start(t, { config, alias: true });
  await node.rpull(name, "--plain-http");
  assert.deepEqual(node.prepared(), ["true", "true"]);
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
  // containerd itself has asked for the config.
  assert.equal(blobsAsked(origin) - before, 1);
  assert.ok(blobsAsked(mirror) > mirrored);
  const warnings = node.log().flatMap(({ level, msg }) => (level === 40 ? [String(msg)] : []));
  for (const key of ["http_cache_type", "blob.chunk_size", "request_timeout_sec"])
    assert.equal(warnings.filter((text) => text.includes(key)).length, 1, key);
});

test("an authority of one's own is found in containerd's certs.d", async (t) => {
  const reason = await whyNoNode(["ctr-remote", "openssl"]);
  if (reason !== undefined) return t.skip(reason);
  const folder = await temporary(t);
  await makeCertificate(folder);
  const [cert, key] = await Promise.all(
    ["cert.pem", "key.pem"].map((file) => readFile(join(folder, file), "utf8")),
  );
  assert.ok(cert !== undefined && key !== undefined);
  const registry = await serve(t, { tls: { cert, key } });
  const caFile = join(folder, "cert.pem");
  const plans = await samplePlans();
  await using client = new RegistryClient({ hosts: () => ({ plainHttp: false, caFile }) });
  const name = await pushImage(client, {
    registry: registry.address,
    repository: "team/app",
    layers: await layersOf(plans),
  });
  const directory = join(folder, "certs.d", registry.address.replace(/:(\d+)$/, "_$1_"));
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, "ca.pem"), await readFile(caFile));
  const url = `https://${registry.address}`;
  await writeFile(
    join(directory, "hosts.toml"),
    `server = "${url}"\n[host."${url}"]\n  capabilities = ["pull", "resolve"]\n  ca = "ca.pem"\n`,
  );
  const config = `[resolver]\nconfig_path = "${join(folder, "certs.d")}"\n`;
  const node = await LazyNode.start(t, { config });
  await node.rpull(name, "--hosts-dir", join(folder, "certs.d"));
  assert.deepEqual(node.prepared(), ["true", "true"]);
  assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
});

test("layers that nothing proves are unpacked, unless the configuration, or with its leave the client, says otherwise", async (t) => {
  const reason = await whyNoNode(["ctr-remote"]);
  if (reason !== undefined) return t.skip(reason);
  const registry = await serve(t);
  const plans = await samplePlans();
  const layers = (await layersOf(plans)).map(({ blob, diffId, mediaType }) => ({
    blob,
    diffId,
    mediaType,
  }));
  await using client = new RegistryClient();
  const name = await pushImage(client, { registry: registry.address, repository: "team/app", layers });
  const skip = ["--plain-http", "--skip-content-verify"];
  const cases: readonly (readonly [string, readonly string[], "true" | "false"])[] = [
    ["", skip, "false"],
    ["allow_no_verification = true\n", ["--plain-http"], "false"],
    ["allow_no_verification = true\n", skip, "true"],
    ["disable_verification = true\n", ["--plain-http"], "true"],
  ];
  for (const [policy, flags, answer] of cases) {
    const node = await LazyNode.start(t, { config: `noprefetch = true\n${policy}` });
    await node.rpull(name, ...flags);
    assert.deepEqual(node.prepared(), [answer, answer], `${policy} ${flags.join(" ")}`);
    assert.equal(await node.container(name, SUM_ALL), sumsOf(plans));
  }
});

async function makeCertificate(folder: string): Promise<void> {
  const words = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
  ];
  const subject = ["-subj", "/CN=esgz test", "-addext", "subjectAltName=IP:127.0.0.1"];
  const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
  await run("openssl", [...words, ...subject, ...files]);
}
