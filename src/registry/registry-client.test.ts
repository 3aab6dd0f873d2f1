import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test, type TestContext } from "node:test";
import { startDockerRegistry } from "../../test/registry/docker-registry.ts";
import { type Digest, MEDIA_TYPES } from "../oci/index.ts";
import { startRegistryServer } from "../registry-server/index.ts";
import type { Credential } from "./credential.ts";
import { RegistryClient, type RegistryClientOptions } from "./registry-client.ts";

const ABSENT: Digest = `sha256:${"0".repeat(64)}`;
// "user:secret", made by `htpasswd -nbB -C 4` of Apache 2.4.
const HTPASSWD = "user:$2y$04$/mEqJawg.ubHU0O8T3sgwuJBeIkZwReD8QFtx9JeoLaZS42NT4cCq";
const USER: Credential = { username: "user", password: "secret" };

interface Target extends AsyncDisposable {
  readonly host: string;
}

/** Every registry that this machine can run, plain and with authentication. */
const REGISTRIES: Readonly<
  Record<string, { credential?: Credential; start: () => Promise<Target | undefined> }>
> = {
  "docker-registry": { start: () => startDockerRegistry() },
  "docker-registry with htpasswd": {
    credential: USER,
    start: () => startDockerRegistry({ htpasswd: HTPASSWD }),
  },
  "esgz registry": { start: () => startOwn({}) },
  "esgz registry with htpasswd": { credential: USER, start: () => startOwn({ htpasswd: HTPASSWD }) },
  "esgz registry with tokens": { credential: USER, start: () => startOwn({ htpasswd: HTPASSWD, token: {} }) },
};

async function startOwn(options: Parameters<typeof startRegistryServer>[0]): Promise<Target> {
  const server = await startRegistryServer(options);
  return { host: `127.0.0.1:${server.port}`, [Symbol.asyncDispose]: () => server.close() };
}

function clientWith(credential: Credential | undefined, options: RegistryClientOptions = {}): RegistryClient {
  // A registry that is still starting refuses connections.
  const retryPolicy = { attempts: 12, firstDelayMs: 50, maxDelayMs: 1000 };
  return new RegistryClient({
    retryPolicy,
    credentials: { credentialFor: () => Promise.resolve(credential) },
    ...options,
  });
}

async function* pieces(bytes: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function listed(tags: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const tag of tags) all.push(tag);
  return all.toSorted();
}

for (const [name, { credential, start }] of Object.entries(REGISTRIES)) {
  test(`${name}: an image is pushed, found, read in ranges, mounted and deleted`, async (t: TestContext) => {
    await using target = await start();
    if (target === undefined) return t.skip("docker-registry is not installed");
    await using client = clientWith(credential);
    await client.ping(target.host);
    const repository = client.repository({ registry: target.host, repository: "team/app" });
    const bytes = randomBytes(300_000);
    const digest: Digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    const layer = await repository.pushBlob(pieces(bytes, 7000), { chunkSize: 65_536 });
    assert.deepEqual(layer, { digest, size: 300_000 });
    assert.deepEqual([await repository.hasBlob(digest), await repository.hasBlob(ABSENT)], [true, false]);
    const config = await repository.pushBlob(Buffer.from("{}"));

    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
        layers: [{ mediaType: MEDIA_TYPES.ociLayerGzip, ...layer }],
      }),
    );
    const options = { mediaType: MEDIA_TYPES.ociManifest };
    const pushed = await repository.pushManifest(manifest, { ...options, reference: "v1" });
    assert.equal(pushed.digest, `sha256:${createHash("sha256").update(manifest).digest("hex")}`);
    assert.deepEqual(await repository.resolve("v1"), pushed);
    const fetched = await repository.fetchManifest(pushed.digest);
    assert.deepEqual([fetched.descriptor, Buffer.from(fetched.bytes)], [pushed, manifest]);
    await assert.rejects(repository.fetchManifest("v2"), { code: "REGISTRY_NOT_FOUND" });

    const blob = repository.openBlob(layer);
    const parts = await Promise.all(
      [0, 100_000, 299_999].map((offset) => blob.read({ offset, size: Math.min(5000, 300_000 - offset) })),
    );
    for (const [index, offset] of [0, 100_000, 299_999].entries()) {
      assert.ok(bytes.subarray(offset, offset + 5000).equals(parts[index] ?? Buffer.alloc(0)));
    }
    assert.ok(bytes.equals(await blob.read({ offset: 0, size: 300_000 })));

    for (let i = 0; i < 5; i += 1)
      await repository.pushManifest(manifest, { ...options, reference: `t${i}` });
    assert.deepEqual(await listed(repository.listTags()), ["t0", "t1", "t2", "t3", "t4", "v1"]);

    const other = client.repository({ registry: target.host, repository: "other/app" });
    assert.equal(await other.mountBlob(digest, { from: "team/app" }), true);
    assert.equal(await other.hasBlob(digest), true);
    assert.equal(await other.mountBlob(ABSENT, { from: "team/app" }), false);

    await repository.deleteManifest(pushed.digest);
    await assert.rejects(repository.fetchManifest(pushed.digest), { code: "REGISTRY_NOT_FOUND" });
    await other.deleteBlob(digest);
    assert.equal(await other.hasBlob(digest), false);
  });

  test(`${name}: referrers are found by API or by tag`, async (t: TestContext) => {
    await using target = await start();
    if (target === undefined) return t.skip("docker-registry is not installed");
    await using client = clientWith(credential);
    const repository = client.repository({ registry: target.host, repository: "team/signed" });
    const config = { mediaType: MEDIA_TYPES.ociEmpty, ...(await repository.pushBlob(Buffer.from("{}"))) };
    const base = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [config] };
    const options = { mediaType: MEDIA_TYPES.ociManifest };
    const subject = await repository.pushManifest(Buffer.from(JSON.stringify(base)), options);
    assert.deepEqual(await repository.listReferrers(subject.digest), []);
    const artifact = { ...base, artifactType: "test/signature", subject };
    const signature = await repository.pushManifest(Buffer.from(JSON.stringify(artifact)), options);
    const found = await repository.listReferrers(subject.digest, { artifactType: "test/signature" });
    assert.deepEqual(
      found.map(({ digest }) => digest),
      [signature.digest],
    );
    assert.deepEqual(await repository.listReferrers(subject.digest, { artifactType: "other" }), []);
  });

  if (credential === undefined) continue;
  test(`${name}: wrong and missing credentials are refused`, async (t: TestContext) => {
    await using target = await start();
    if (target === undefined) return t.skip("docker-registry is not installed");
    for (const wrong of [undefined, { username: "user", password: "guess" }]) {
      await using client = clientWith(wrong);
      const repository = client.repository({ registry: target.host, repository: "team/app" });
      await assert.rejects(repository.fetchManifest("v1"), { code: "REGISTRY_UNAUTHORIZED" });
      await assert.rejects(repository.pushBlob(Buffer.from("{}")), { code: "REGISTRY_UNAUTHORIZED" });
    }
  });
}
