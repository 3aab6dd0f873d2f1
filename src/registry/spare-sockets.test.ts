import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { answer, type ScriptedServer, startScriptedServer } from "../../test/registry/scripted-server.ts";
import { RegistryClient } from "./registry-client.ts";
import { SpareSockets } from "./spare-sockets.ts";

/** A registry that answers late enough for all that ask at once to need a connection each. */
async function startLate(): Promise<ScriptedServer> {
  return await startScriptedServer(async (_request, response) => {
    await sleep(30);
    answer(response, 200);
  });
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(5);
}

async function pingAll(client: RegistryClient, host: string, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => client.ping(host)));
}

test("connections are there before a request, and requests use them", async () => {
  await using registry = await startLate();
  await using client = new RegistryClient();
  const repository = client.repository({ registry: registry.host, repository: "a/b" });
  repository.connectAhead(3);
  await until(() => registry.connections() === 3);
  // No more than that, however often it is asked for.
  repository.connectAhead(3);
  await pingAll(client, registry.host, 3);
  assert.equal(registry.connections(), 3);
  await pingAll(client, registry.host, 4);
  assert.equal(registry.connections(), 4);
});

test("connections for reads of blobs go where the last one was sent", async () => {
  await using store = await startScriptedServer(async (_request, response) => {
    await sleep(30);
    answer(response, 206, { "content-range": "bytes 0-0/9" }, Buffer.from("x"));
  });
  await using registry = await startScriptedServer((_request, response) => {
    answer(response, 307, { location: `${store.url}/stored` });
    return Promise.resolve();
  });
  await using client = new RegistryClient();
  const repository = client.repository({ registry: registry.host, repository: "a/b" });
  repository.connectToBlobs(2);
  await until(() => registry.connections() === 2);
  const blob = repository.openBlob({ digest: `sha256:${"a".repeat(64)}`, size: 9 });
  const readFirst = async (): Promise<Uint8Array> => await blob.read({ offset: 0, size: 1 });
  await readFirst();
  assert.equal(store.connections(), 1);
  repository.connectToBlobs(3);
  await until(() => store.connections() === 4);
  await Promise.all([readFirst(), readFirst(), readFirst(), readFirst()]);
  assert.equal(store.connections(), 4);
  assert.equal(registry.connections(), 2);
});

test("a request takes a connection that is still being made", async () => {
  await using registry = await startLate();
  await using client = new RegistryClient();
  client.repository({ registry: registry.host, repository: "a/b" }).connectAhead(2);
  await pingAll(client, registry.host, 2);
  assert.equal(registry.connections(), 2);
});

test("a connection that the registry has closed meanwhile is given to nobody", async () => {
  await using registry = await startLate();
  const made: Socket[] = [];
  const spares = new SpareSockets((_target, callback) => {
    const socket = connectSocket(Number(url.port), url.hostname, () => callback(null, socket));
    made.push(socket);
  });
  const url = new URL(registry.url);
  spares.prepare(url, 2);
  await until(() => registry.connections() === 2);
  const [first, second] = registry.sockets;
  first?.destroy();
  second?.end();
  // Who does not look would wait for ever.
  const lateMs = performance.now() + 5000;
  await until(() => made.every(({ destroyed }) => destroyed) || performance.now() > lateMs);
  const { protocol, host, hostname, port } = url;
  const [error, given] = await new Promise<[Error | null, Socket | null]>((resolve) => {
    spares.connect({ protocol, host, hostname, port }, (...answered) => resolve(answered));
  });
  assert.equal(error, null);
  assert.equal(given, made[2]);
  given?.destroy();
});

test("connections that nobody took end with the client", async () => {
  await using registry = await startLate();
  const client = new RegistryClient();
  client.repository({ registry: registry.host, repository: "a/b" }).connectAhead(2);
  await until(() => registry.connections() === 2);
  const ended = registry.sockets.map((socket) => once(socket, "close"));
  await client.close();
  await Promise.all(ended);
});

test("who asks for a registry that is not there learns it, whether a connection was tried before or not", async () => {
  const host = "127.0.0.1:1";
  await using client = new RegistryClient({ retryPolicy: { attempts: 1 } });
  client.repository({ registry: host, repository: "a/b" }).connectAhead(2);
  await assert.rejects(client.ping(host), { code: "NETWORK_FAILED" });
  await sleep(50);
  await assert.rejects(client.ping(host), { code: "NETWORK_FAILED" });
});

test("another name is another connection", async () => {
  await using registry = await startLate();
  const made: Socket[] = [];
  const spares = new SpareSockets((target, callback) => {
    const socket = connectSocket(Number(target.port), target.hostname);
    made.push(socket);
    socket.once("connect", () => callback(null, socket));
  });
  const url = new URL(registry.url);
  const { host, hostname, protocol, port } = url;
  const target = { host, hostname, protocol, port };
  const take = (more: { readonly servername?: string }): Promise<Socket | null> =>
    new Promise((resolve) => {
      spares.connect({ ...target, ...more }, (_error, socket) => resolve(socket));
    });
  spares.prepare(url, 1);
  await until(() => registry.connections() === 1);
  const named = await take({ servername: "other.example" });
  assert.equal(named, made[1]);
  assert.equal(await take({}), made[0]);
  spares.close();
  for (const socket of made) {
    assert.equal(socket.destroyed, false, "what was taken is its taker's");
    socket.destroy();
  }
});
