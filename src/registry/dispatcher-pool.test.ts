import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { type Certificates, makeCertificates } from "../../test/registry/certificates.ts";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import { answer, startScriptedServer } from "../../test/registry/scripted-server.ts";
import type { HostConfig } from "./host-config.ts";
import { RegistryClient } from "./registry-client.ts";

let made: Certificates | undefined;

before(async () => {
  made = await makeCertificates();
});

function certificatesOr(t: TestContext): Certificates | undefined {
  if (made === undefined) t.skip("openssl is not installed");
  return made;
}

function clientFor(config: HostConfig): RegistryClient {
  return new RegistryClient({ clock: new FakeClock(), hosts: () => ({ plainHttp: false, ...config }) });
}

test("a private authority is trusted where it was given, as text or as a file, and only there", async (t) => {
  const certificates = certificatesOr(t);
  if (certificates === undefined) return;
  await using server = await startScriptedServer(
    (_request, response) => answer(response, 200),
    certificates.server,
  );
  const directory = await mkdtemp(join(tmpdir(), "esgz-ca-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const caFile = join(directory, "ca.pem");
  await writeFile(caFile, certificates.ca);
  const several = join(directory, "none.pem");
  await writeFile(several, "");
  for (const config of [
    { ca: certificates.ca },
    { caFile },
    { caFile: [several, caFile] },
    { skipVerify: true },
  ]) {
    await using client = clientFor(config);
    await client.ping(server.host);
  }
  await using stranger = clientFor({});
  await assert.rejects(stranger.ping(server.host), { code: "NETWORK_FAILED" });
  await using misled = clientFor({ caFile: join(directory, "missing.pem") });
  await assert.rejects(misled.ping(server.host), { code: "CONFIGURATION_INVALID" });
  assert.equal(server.requests.length, 4);
});

test("a client certificate is shown to its own host, and to no host it redirects to", async (t) => {
  const certificates = certificatesOr(t);
  if (certificates === undefined) return;
  const shown: string[] = [];
  const asking = {
    ...certificates.server,
    ca: certificates.ca,
    requestCert: true,
    rejectUnauthorized: false,
  };
  const note = (name: string, socket: unknown): void => {
    const subject = (socket as TLSSocket).getPeerCertificate().subject;
    shown.push(`${name}: ${String(subject?.CN ?? "nobody")}`);
  };
  await using store = await startScriptedServer((_request, response) => {
    note("store", response.socket);
    answer(response, 206, { "content-range": "bytes 1-1/9" }, "x");
  }, asking);
  await using registry = await startScriptedServer((_request, response) => {
    note("registry", response.socket);
    answer(response, 307, { location: `${store.url}/x` });
  }, asking);
  await using client = clientFor({ ca: certificates.ca, ...certificates.client });
  const repository = client.repository({ registry: registry.host, repository: "a" });
  await repository.openBlob({ digest: `sha256:${"0".repeat(64)}`, size: 9 }).read({ offset: 1, size: 1 });
  assert.deepEqual(shown, ["registry: client", "store: nobody"]);
});

test("connections made ahead trust and show what the reads do that take them", async (t) => {
  const certificates = certificatesOr(t);
  if (certificates === undefined) return;
  const shown: string[] = [];
  const asking = {
    ...certificates.server,
    ca: certificates.ca,
    requestCert: true,
    rejectUnauthorized: false,
  };
  await using store = await startScriptedServer(async (_request, response) => {
    const subject = (response.socket as TLSSocket).getPeerCertificate().subject;
    shown.push(String(subject?.CN ?? "nobody"));
    // Late enough for all that ask at once to need a connection each.
    await sleep(30);
    answer(response, 206, { "content-range": "bytes 1-1/9" }, "x");
  }, asking);
  await using registry = await startScriptedServer((_request, response) => {
    answer(response, 307, { location: `${store.url}/x` });
  }, asking);
  await using client = new RegistryClient({
    hosts: () => ({ plainHttp: false, ca: certificates.ca, ...certificates.client }),
  });
  const repository = client.repository({ registry: registry.host, repository: "a" });
  const blob = repository.openBlob({ digest: `sha256:${"0".repeat(64)}`, size: 9 });
  const readOne = async (): Promise<Uint8Array> => await blob.read({ offset: 1, size: 1 });
  await readOne();
  assert.equal(store.connections(), 1);
  repository.connectToBlobs(2);
  while (store.connections() < 3) await sleep(5);
  await Promise.all([readOne(), readOne(), readOne()]);
  assert.equal(store.connections(), 3);
  assert.deepEqual(shown, ["nobody", "nobody", "nobody", "nobody"]);
});

test("redirects and token servers without TLS are refused to a registry with TLS", async (t) => {
  const certificates = certificatesOr(t);
  if (certificates === undefined) return;
  await using plain = await startScriptedServer((_request, response) =>
    answer(response, 200, {}, '{"token":"x"}'),
  );
  await using registry = await startScriptedServer(({ url }, response) => {
    if (url.includes("/blobs/")) return answer(response, 307, { location: `${plain.url}/x?secret` });
    answer(response, 401, { "www-authenticate": 'Bearer realm="http://tokens.example/token"' });
  }, certificates.server);
  await using client = clientFor({ ca: certificates.ca });
  const repository = client.repository({ registry: registry.host, repository: "a" });
  const blob = repository.openBlob({ digest: `sha256:${"0".repeat(64)}`, size: 9 });
  await assert.rejects(blob.read({ offset: 1, size: 1 }), {
    code: "REGISTRY_PROTOCOL",
    message: /downgrade/,
  });
  await assert.rejects(repository.fetchManifest("v1"), {
    code: "REGISTRY_PROTOCOL",
    message: /https token server/,
  });
  assert.equal(plain.requests.length, 0);
});

/** A proxy that forwards plain requests as seen, and tunnels CONNECT to `target` whatever is asked for. */
async function startProxy(
  target: string,
): Promise<{ url: string; seen: string[]; close: () => Promise<void> }> {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server: Server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"] ?? "-"}`);
    answer(response, 200);
  });
  server.on("connection", (socket) => sockets.add(socket));
  server.on("connect", (request, socket: Socket) => {
    seen.push(`CONNECT ${request.url} ${request.headers["proxy-authorization"] ?? "-"}`);
    const [host = "", port = ""] = target.split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(socket).pipe(upstream);
    });
    sockets.add(upstream);
    upstream.on("error", () => socket.destroy());
    socket.on("error", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://user:pw@127.0.0.1:${port}`,
    seen,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

test("requests go through the configured proxy, with its credentials", async (t) => {
  const certificates = certificatesOr(t);
  if (certificates === undefined) return;
  await using registry = await startScriptedServer(
    (_request, response) => answer(response, 200),
    certificates.server,
  );
  const proxy = await startProxy(registry.host);
  t.after(proxy.close);
  const settings = { httpProxy: proxy.url, httpsProxy: proxy.url };
  await using client = new RegistryClient({
    proxy: settings,
    clock: new FakeClock(),
    hosts: (registry) => ({ skipVerify: true, plainHttp: registry.startsWith("plain") }),
  });
  await client.ping("secure.invalid");
  await client.ping("plain.invalid:5000");
  assert.deepEqual(proxy.seen, [
    "CONNECT secure.invalid:443 Basic dXNlcjpwdw==",
    "GET http://plain.invalid:5000/v2/ Basic dXNlcjpwdw==",
  ]);
});

test("a closed client fails calls instead of waiting", async () => {
  await using server = await startScriptedServer((_request, response) => answer(response, 200));
  const client = new RegistryClient({ clock: new FakeClock() });
  await client.ping(server.host);
  await client.close();
  await client.close();
  await assert.rejects(client.ping(server.host), { code: "NETWORK_FAILED" });
});

test("a request that follows another at once takes its connection", async (t) => {
  const connections = new Set<Socket>();
  const content = Buffer.alloc(100_000, "content ");
  const server = createServer((request, response) => {
    connections.add(request.socket);
    const [, first = "0", last = "0"] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? "") ?? [];
    const part = content.subarray(Number(first), Number(last) + 1);
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${content.length}` }).end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  await using client = clientFor({ plainHttp: true });
  const repository = client.repository({ registry: `127.0.0.1:${port}`, repository: "team/app" });
  const digest = `sha256:${"0".repeat(64)}` as const;
  const blob = repository.openBlob({ digest, size: content.length });
  for (let at = 0; at < 20; at += 1) {
    await blob.read({ offset: at * 1000, size: 1000 });
    for await (const _part of blob.stream({ offset: at * 1000, size: 50_000 }));
  }
  assert.equal(connections.size, 1);
});
