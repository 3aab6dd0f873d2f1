import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import {
  answer,
  answerRange,
  type Script,
  startScriptedServer,
} from "../../test/registry/scripted-server.ts";
import { type Digest, MEDIA_TYPES } from "../oci/index.ts";
import type { HostConfig } from "./host-config.ts";
import { RegistryClient } from "./registry-client.ts";

const BYTES = new Uint8Array(5000).fill(3);
const DIGEST: Digest = `sha256:${createHash("sha256").update(BYTES).digest("hex")}`;
const NAME = { registry: "images.example", repository: "team/app" };
const good: Script = (request, response) => answerRange(request, response, BYTES);
const absent: Script = (_request, response) => answer(response, 404);

function clientFor(config: HostConfig, clock = new FakeClock()): RegistryClient {
  return new RegistryClient({
    clock,
    hosts: () => config,
    credentials: { credentialFor: (registry) => Promise.resolve({ username: registry, password: "pw" }) },
  });
}

test("reads go to the first mirror that has the content, named with ns", async () => {
  await using empty = await startScriptedServer(absent);
  await using full = await startScriptedServer(good);
  await using upstream = await startScriptedServer(good);
  await using client = clientFor({ url: upstream.url, mirrors: [{ url: empty.url }, { url: full.url }] });
  const blob = client.repository(NAME).openBlob({ digest: DIGEST, size: BYTES.length });
  assert.deepEqual(await blob.read({ offset: 1, size: 9 }), BYTES.subarray(1, 10));
  const path = `/v2/team/app/blobs/${DIGEST}?ns=images.example`;
  assert.deepEqual(
    [empty, full, upstream].map(({ requests }) => requests.map(({ url }) => url)),
    [[path], [path], []],
  );
});

test("a mirror whose whole path is given is asked below it", async () => {
  await using proxy = await startScriptedServer(good);
  const url = `${proxy.url}/v2/hub-proxy`;
  await using client = clientFor({ url: "http://localhost:1", mirrors: [{ url, wholePath: true }] });
  const blob = client.repository(NAME).openBlob({ digest: DIGEST, size: BYTES.length });
  assert.deepEqual(await blob.read({ offset: 1, size: 9 }), BYTES.subarray(1, 10));
  assert.deepEqual(
    proxy.requests.map((request) => request.url),
    [`/v2/hub-proxy/team/app/blobs/${DIGEST}?ns=images.example`],
  );
});

test("reads fall back to the registry itself, without ns, and remember mirrors that are down", async () => {
  await using broken = await startScriptedServer((_request, response) => void response.destroy());
  await using upstream = await startScriptedServer(good);
  const clock = new FakeClock();
  await using client = clientFor({ url: upstream.url, mirrors: [{ url: broken.url }] }, clock);
  const blob = client.repository(NAME).openBlob({ digest: DIGEST, size: BYTES.length });
  await blob.read({ offset: 1, size: 9 });
  assert.deepEqual([broken.requests.length, upstream.requests[0]?.url], [2, `/v2/team/app/blobs/${DIGEST}`]);
  await blob.read({ offset: 1, size: 9 });
  assert.equal(broken.requests.length, 2);
  clock.now += 31_000;
  await blob.read({ offset: 1, size: 9 });
  assert.equal(broken.requests.length, 4);
});

test("a stream that breaks at a mirror goes on at the registry", async () => {
  await using breaking = await startScriptedServer((_request, response) => {
    response.writeHead(200, { "content-length": BYTES.length });
    response.write(BYTES.subarray(0, 1000), () => response.destroy());
  });
  await using upstream = await startScriptedServer(good);
  await using client = clientFor({ url: upstream.url, mirrors: [{ url: breaking.url }] });
  const blob = client.repository(NAME).openBlob({ digest: DIGEST, size: BYTES.length });
  assert.deepEqual(await blob.read({ offset: 0, size: BYTES.length }), BYTES);
  assert.match(upstream.requests[0]?.headers.range ?? "", /^bytes=[1-9]\d*-4999$/);
});

test("a mirror that lies about a manifest is passed over", async () => {
  const manifest = JSON.stringify({ schemaVersion: 2, manifests: [] });
  const digest: Digest = `sha256:${createHash("sha256").update(manifest).digest("hex")}`;
  const headers = { "content-type": MEDIA_TYPES.ociIndex };
  await using liar = await startScriptedServer((_request, response) => answer(response, 200, headers, "{}"));
  await using upstream = await startScriptedServer((_request, response) =>
    answer(response, 200, headers, manifest),
  );
  await using client = clientFor({ url: upstream.url, mirrors: [{ url: liar.url }] });
  assert.equal((await client.repository(NAME).fetchManifest(digest)).descriptor.digest, digest);
});

test("each host gets its own credentials, and writes never go to mirrors", async () => {
  const basic: Script = (request, response) => {
    if (request.headers.authorization === undefined) {
      return answer(response, 401, { "www-authenticate": "Basic realm=x" });
    }
    answer(response, request.method === "DELETE" ? 202 : 404);
  };
  await using mirror = await startScriptedServer(basic);
  await using upstream = await startScriptedServer(basic);
  await using client = clientFor({ url: upstream.url, mirrors: [{ url: mirror.url }] });
  const repository = client.repository(NAME);
  await assert.rejects(repository.fetchManifest("v1"), { code: "REGISTRY_NOT_FOUND" });
  const userOf = (header: string | undefined): string =>
    Buffer.from(header?.slice("Basic ".length) ?? "", "base64").toString();
  assert.equal(userOf(mirror.requests[1]?.headers.authorization), `${mirror.host}:pw`);
  assert.equal(userOf(upstream.requests[1]?.headers.authorization), "images.example:pw");
  await repository.deleteManifest(DIGEST);
  assert.equal(mirror.requests.length, 2);
});
