import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { openImageSource } from "../image/index.ts";
import { parseReference } from "../oci/index.ts";
import type { RegistryAccess } from "./control-protocol.ts";
import { openRegistryClient } from "./registry-access.ts";

const ENVIRONMENT = { home: tmpdir(), variables: {} };
const TLS_HANDSHAKE = 0x16;

/** The first byte that a registry on this machine is sent. */
async function firstByte(access: (host: string) => RegistryAccess): Promise<number | undefined> {
  const first = Promise.withResolvers<number | undefined>();
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (bytes: Buffer) => {
      first.resolve(bytes[0]);
      socket.destroy();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using client = await openRegistryClient(ENVIRONMENT, access(host), {
      retryPolicy: { attempts: 1 },
    });
    const reference = parseReference(`${host}/a:1`);
    const asked = openImageSource({ kind: "registry", reference }, { registry: client }).then(
      async (source) => await source.fetchRoot(),
    );
    await assert.rejects(asked);
    return await first.promise;
  } finally {
    server.close();
  }
}

test("openRegistryClient() speaks TLS to a registry of this machine where that is said", async () => {
  assert.equal(await firstByte(() => ({})), "GET".charCodeAt(0));
  assert.equal(await firstByte((host) => ({ tls: [host] })), TLS_HANDSHAKE);
  assert.equal(await firstByte(() => ({ tls: ["127.0.0.1:1"] })), "GET".charCodeAt(0));
});

test("openRegistryClient() refuses to speak TLS and plain HTTP to one registry", async () => {
  const host = "127.0.0.1:1";
  await using client = await openRegistryClient(ENVIRONMENT, { tls: [host], plainHttp: [host] });
  const reference = parseReference(`${host}/a:1`);
  await assert.rejects(
    openImageSource({ kind: "registry", reference }, { registry: client }).then(
      async (source) => await source.fetchRoot(),
    ),
    { code: "USAGE_INVALID" },
  );
});
