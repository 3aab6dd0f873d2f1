// Garbage collection over every storage.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import {
  beginUpload,
  describe as describeContent,
  digestOf,
  INDEX,
  MANIFEST,
  pushBlob,
  pushImage,
  pushManifest,
  startTestRegistry,
  STORAGES,
} from "./registry-fixture.ts";

const V1 = { repository: "app", reference: "v1" };

async function statusOf(url: string, path: string): Promise<number> {
  return (await fetch(`${url}/v2/${path}`, { method: "HEAD" })).status;
}

for (const storage of STORAGES) {
  void describe(`garbage in ${storage === "memory" ? "memory" : "a directory"}`, () => {
    test("is what no manifest needs", async () => {
      await using registry = await startTestRegistry(storage);
      const { url, server } = registry;
      const manifest = await pushImage(url, V1, { layer: "kept" });
      const orphan = await pushBlob(url, "app", "orphan");
      const report = await server.collectGarbage({ graceMs: 0 });
      assert.deepEqual(report, {
        repositories: 1,
        manifestsDeleted: 0,
        linksDeleted: 1,
        contentDeleted: 1,
        bytesDeleted: 6,
        contentKept: 3,
        uploadsDeleted: 0,
      });
      assert.equal(await statusOf(url, `app/blobs/${orphan}`), 404);
      assert.equal(await statusOf(url, `app/blobs/${digestOf("kept")}`), 200);
      assert.equal(await statusOf(url, `app/manifests/${manifest}`), 200);
    });

    test("is only counted in a dry run", async () => {
      await using registry = await startTestRegistry(storage);
      const orphan = await pushBlob(registry.url, "app", "orphan");
      const report = await registry.server.collectGarbage({ graceMs: 0, dryRun: true });
      assert.equal(report.linksDeleted, 1);
      assert.equal(report.bytesDeleted, 6);
      assert.equal(await statusOf(registry.url, `app/blobs/${orphan}`), 200);
    });

    test("has an hour's grace, so that a push in progress loses nothing", async () => {
      await using registry = await startTestRegistry(storage);
      const orphan = await pushBlob(registry.url, "app", "orphan");
      const report = await registry.server.collectGarbage();
      assert.equal(report.linksDeleted, 0);
      assert.equal(await statusOf(registry.url, `app/blobs/${orphan}`), 200);
    });

    test("is what a deleted image leaves, but not what another repository uses", async () => {
      await using registry = await startTestRegistry(storage);
      const { url, server } = registry;
      const manifest = await pushImage(url, V1, { layer: "common" });
      await pushImage(url, { repository: "other", reference: "v1" }, { layer: "common" });
      await fetch(`${url}/v2/app/manifests/${manifest}`, { method: "DELETE" });
      const report = await server.collectGarbage({ graceMs: 0 });
      assert.equal(report.linksDeleted, 2);
      assert.equal(report.contentDeleted, 0);
      assert.equal(await statusOf(url, `app/blobs/${digestOf("common")}`), 404);
      assert.equal(await statusOf(url, `other/blobs/${digestOf("common")}`), 200);
      await fetch(`${url}/v2/other/manifests/${manifest}`, { method: "DELETE" });
      assert.equal((await server.collectGarbage({ graceMs: 0 })).contentKept, 0);
    });

    test("includes untagged manifests if asked, but not what tags lead to", async () => {
      await using registry = await startTestRegistry(storage);
      const { url, server } = registry;
      const old = await pushImage(url, V1, { layer: "old" });
      const current = await pushImage(url, V1, { layer: "current" });
      const child = await pushImage(url, { ...V1, reference: "child" }, { layer: "child" });
      await fetch(`${url}/v2/app/manifests/child`, { method: "DELETE" });
      const size = Number((await fetch(`${url}/v2/app/manifests/${child}`)).headers.get("content-length"));
      const index = {
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [{ mediaType: MANIFEST, digest: child, size }],
      };
      assert.equal((await pushManifest(url, { ...V1, reference: "all" }, index)).status, 201);
      const subject = { mediaType: MANIFEST, digest: child, size };
      const signature = await pushImage(
        url,
        { ...V1, reference: "sig" },
        { layer: "sig", fields: { subject } },
      );
      await fetch(`${url}/v2/app/manifests/sig`, { method: "DELETE" });
      assert.equal((await server.collectGarbage({ graceMs: 0 })).manifestsDeleted, 0);
      assert.equal((await server.collectGarbage({ graceMs: 0, untagged: true })).manifestsDeleted, 1);
      assert.equal(await statusOf(url, `app/manifests/${old}`), 404);
      assert.equal(await statusOf(url, `app/blobs/${digestOf("old")}`), 404);
      for (const kept of [current, child, signature]) {
        assert.equal(await statusOf(url, `app/manifests/${kept}`), 200);
      }
    });

    test("includes uploads that nobody goes on with", async () => {
      await using registry = await startTestRegistry(storage, { limits: { uploadExpiryMs: 0 } });
      const location = await beginUpload(registry.url, "app");
      assert.equal((await registry.server.collectGarbage()).uploadsDeleted, 1);
      assert.equal((await fetch(location)).status, 404);
    });

    test("never includes what is being pushed at the same time", async () => {
      await using registry = await startTestRegistry(storage);
      const { url, server } = registry;
      let pushing = true;
      const collecting = (async () => {
        // In memory, collecting alone would never let a request through.
        for (; pushing; await setImmediate()) await server.collectGarbage({ graceMs: 60_000 });
      })();
      try {
        for (let at = 0; at < 20; at += 1) {
          const reference = `v${at}`;
          await pushImage(url, { repository: "app", reference }, { layer: `layer ${at}` });
          await fetch(`${url}/v2/app/manifests/${reference}`, { method: "DELETE" });
          // The same blobs again, by asking whether they are there.
          assert.equal(await statusOf(url, `app/blobs/${digestOf(`layer ${at}`)}`), 200);
          const layers = [describeContent("application/vnd.oci.image.layer.v1.tar", `layer ${at}`)];
          const config = describeContent("application/vnd.oci.image.config.v1+json", "{}");
          const manifest = {
            schemaVersion: 2,
            mediaType: MANIFEST,
            config,
            layers,
            annotations: { at: reference },
          };
          assert.equal((await pushManifest(url, { repository: "app", reference }, manifest)).status, 201);
        }
      } finally {
        pushing = false;
      }
      await collecting;
    });
  });
}
