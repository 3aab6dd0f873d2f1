import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import {
  answer,
  answerRange,
  type SeenRequest,
  startScriptedServer,
} from "../../test/registry/scripted-server.ts";
import type { BlobSource } from "../blob/index.ts";
import type { Digest } from "../oci/index.ts";
import { RegistryClient, type RegistryClientOptions } from "./registry-client.ts";

const BYTES = new Uint8Array(1000).fill(7);
const DIGEST: Digest = `sha256:${"1".repeat(64)}`;
const PATH = `/v2/team/app/blobs/${DIGEST}`;
const RANGE = { offset: 10, size: 20 };
const CREDENTIALS = { credentialFor: () => Promise.resolve({ username: "user", password: "secret" }) };

function blobOf(client: RegistryClient, registry: string): BlobSource {
  return client.repository({ registry, repository: "team/app" }).openBlob({ digest: DIGEST, size: 1000 });
}

function createClient(options: RegistryClientOptions = {}): RegistryClient {
  return new RegistryClient({ clock: new FakeClock(), credentials: CREDENTIALS, ...options });
}

/** Asks for Basic authentication once per connection's request without it. */
function isAuthorized(request: SeenRequest): boolean {
  return request.headers.authorization === "Basic dXNlcjpzZWNyZXQ=";
}

test("a redirect to another origin is followed without credentials or configured headers", async () => {
  await using store = await startScriptedServer((request, response) => answerRange(request, response, BYTES));
  await using registry = await startScriptedServer((request, response) => {
    if (!isAuthorized(request)) answer(response, 401, { "www-authenticate": 'Basic realm="r"' });
    else answer(response, 307, { location: `${store.url}/object?sig=abc` });
  });
  await using client = createClient({ hosts: () => ({ headers: { "x-team": "blue" } }) });
  assert.deepEqual(await blobOf(client, registry.host).read(RANGE), BYTES.subarray(10, 30));
  assert.deepEqual(
    registry.requests.map(({ headers }) => [headers.authorization, headers["x-team"]]),
    [
      [undefined, "blue"],
      ["Basic dXNlcjpzZWNyZXQ=", "blue"],
    ],
  );
  assert.deepEqual(
    store.requests.map(({ url, headers }) => [url, headers.authorization, headers["x-team"], headers.range]),
    [["/object?sig=abc", undefined, undefined, "bytes=10-29"]],
  );
});

test("a redirect target is kept until it expires, then the registry is asked once more", async () => {
  let signature = 1;
  await using store = await startScriptedServer((request, response) => {
    if (request.url === `/object?sig=${signature}`) answerRange(request, response, BYTES);
    else answer(response, 403, {}, "<Error>expired</Error>");
  });
  await using registry = await startScriptedServer((_request, response) => {
    answer(response, 307, { location: `${store.url}/object?sig=${signature}` });
  });
  await using client = createClient();
  const blob = blobOf(client, registry.host);
  await blob.read(RANGE);
  await blob.read(RANGE);
  assert.deepEqual([registry.requests.length, store.requests.length], [1, 2]);
  signature = 2;
  assert.deepEqual(await blob.read(RANGE), BYTES.subarray(10, 30));
  assert.deepEqual([registry.requests.length, store.requests.length], [2, 4]);
  signature = 0;
  await assert.rejects(
    (async () => {
      await using refusing = await startScriptedServer((_request, response) => answer(response, 403));
      await blobOf(client, refusing.host).read(RANGE);
    })(),
    { code: "REGISTRY_DENIED" },
  );
});

test("a redirect target holds for ranges that are read at once", async () => {
  const both = Promise.withResolvers<void>();
  await using store = await startScriptedServer(async (request, response) => {
    // The first read is alone; of the next two, none is answered before both are here.
    if (store.requests.length === 3) both.resolve();
    if (store.requests.length > 1) await both.promise;
    answerRange(request, response, BYTES);
  });
  await using registry = await startScriptedServer((_request, response) => {
    answer(response, 307, { location: `${store.url}/object` });
  });
  await using client = createClient();
  const blob = blobOf(client, registry.host);
  await blob.read(RANGE);
  await Promise.all([blob.read(RANGE), blob.read(RANGE)]);
  assert.deepEqual([registry.requests.length, store.requests.length], [1, 3]);
});

test("relative redirects over several hops are followed, ten and no more", async () => {
  await using registry = await startScriptedServer((request, response) => {
    const hop = Number(/hop(\d+)$/.exec(request.url)?.[1] ?? 0);
    const last = request.url.startsWith("/short") ? 3 : 100;
    if (hop === last) answerRange(request, response, BYTES);
    else if (request.url === PATH) answer(response, 302, { location: "/short/hop1" });
    else answer(response, 302, { location: `hop${hop + 1}` });
  });
  await using client = createClient();
  assert.deepEqual(await blobOf(client, registry.host).read(RANGE), BYTES.subarray(10, 30));
  assert.deepEqual(
    registry.requests.map(({ url }) => url),
    [PATH, "/short/hop1", "/short/hop2", "/short/hop3"],
  );
  await using endless = await startScriptedServer((_request, response) =>
    answer(response, 302, { location: "/x" }),
  );
  await assert.rejects(blobOf(client, endless.host).read(RANGE), { code: "REGISTRY_PROTOCOL" });
  assert.equal(endless.requests.length, 11);
});

test("redirects that make no sense are refused with a message without secrets", async () => {
  for (const location of ["http://", "ftp://x/y", "http://u:secret@127.0.0.1/x?token=secret", "data:,x"]) {
    await using registry = await startScriptedServer((_request, response) =>
      answer(response, 302, { location }),
    );
    await using client = createClient();
    await assert.rejects(blobOf(client, registry.host).read(RANGE), (error: Error & { code?: string }) => {
      return error.code === "REGISTRY_PROTOCOL" && !error.message.includes("secret");
    });
  }
});

test("errors of signed targets do not repeat their query", async () => {
  await using store = await startScriptedServer((_request, response) => answer(response, 404));
  await using registry = await startScriptedServer((_request, response) => {
    answer(response, 307, { location: `${store.url}/object?sig=secret` });
  });
  await using client = createClient();
  await assert.rejects(blobOf(client, registry.host).read(RANGE), (error: Error & { code?: string }) => {
    return (
      error.code === "REGISTRY_NOT_FOUND" && !error.message.includes("sig") && !error.message.includes("?")
    );
  });
});
