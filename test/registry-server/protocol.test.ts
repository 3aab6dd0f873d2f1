// The distribution protocol as clients see it, over every storage.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { describe, test } from "node:test";
import type { RequestInfo } from "../../src/registry-server/index.ts";
import {
  assertProblem,
  beginUpload,
  CONFIG,
  describe as describeContent,
  digestOf,
  INDEX,
  LAYER,
  MANIFEST,
  pushBlob,
  pushImage,
  pushManifest,
  startTestRegistry,
  STORAGES,
} from "./registry-fixture.ts";

const MISSING = `sha256:${"0".repeat(64)}`;
const APP = { repository: "team/app", reference: "v1" };

for (const storage of STORAGES) {
  void describe(`registry in ${storage === "memory" ? "memory" : "a directory"}`, () => {
    test("answers the base of the API", async () => {
      await using registry = await startTestRegistry(storage);
      for (const path of ["/", "/v2/", "/v2"]) assert.equal((await fetch(registry.url + path)).status, 200);
      await assertProblem(await fetch(`${registry.url}/v2/a/b`), 404, "UNSUPPORTED");
      const response = await fetch(`${registry.url}/v2/a/tags/list`, { method: "PUT" });
      assert.equal(response.headers.get("allow"), "GET, HEAD");
      await assertProblem(response, 405, "UNSUPPORTED");
    });

    test("takes a blob in one request and gives it back", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushBlob(registry.url, "team/app", "hello");
      const blob = `${registry.url}/v2/team/app/blobs/${digest}`;
      const got = await fetch(blob);
      assert.equal(await got.text(), "hello");
      assert.equal(got.headers.get("docker-content-digest"), digest);
      const head = await fetch(blob, { method: "HEAD" });
      assert.equal(head.status, 200);
      assert.equal(head.headers.get("content-length"), "5");
      assert.equal(head.headers.get("accept-ranges"), "bytes");
      const known = await fetch(blob, { headers: { "if-none-match": `"${digest}"` } });
      assert.equal(known.status, 304);
    });

    test("takes the empty blob", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushBlob(registry.url, "a", "");
      const got = await fetch(`${registry.url}/v2/a/blobs/${digest}`);
      assert.equal(got.headers.get("content-length"), "0");
    });

    test("serves ranges of a blob", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushBlob(registry.url, "a", "0123456789");
      const ask = (headers: Record<string, string>): Promise<Response> =>
        fetch(`${registry.url}/v2/a/blobs/${digest}`, { headers });
      for (const [range, body, contentRange] of [
        ["bytes=2-4", "234", "bytes 2-4/10"],
        ["bytes=7-", "789", "bytes 7-9/10"],
        ["bytes=-2", "89", "bytes 8-9/10"],
        ["bytes=5-999", "56789", "bytes 5-9/10"],
      ] as const) {
        const response = await ask({ range });
        assert.equal(response.status, 206);
        assert.equal(response.headers.get("content-range"), contentRange);
        assert.equal(await response.text(), body);
      }
      const outside = await ask({ range: "bytes=10-" });
      assert.equal(outside.headers.get("content-range"), "bytes */10");
      await assertProblem(outside, 416, "SIZE_INVALID");
      const several = await ask({ range: "bytes=0-1,4-5" });
      assert.equal(several.status, 200);
      assert.equal(await several.text(), "0123456789");
      assert.equal((await ask({ range: "bytes=0-1", "if-range": '"other"' })).status, 200);
      assert.equal((await ask({ range: "bytes=0-1", "if-range": `"${digest}"` })).status, 206);
    });

    test("serves large ranges byte for byte", async () => {
      await using registry = await startTestRegistry(storage);
      const bytes = Buffer.alloc(5_000_001, 0).map((_, at) => (at * 31 + (at >> 8)) & 0xff);
      const digest = digestOf(bytes);
      const location = await beginUpload(registry.url, "a");
      const put = await fetch(`${location}?digest=${digest}`, { method: "PUT", body: bytes });
      assert.equal(put.status, 201);
      const range = await fetch(`${registry.url}/v2/a/blobs/${digest}`, {
        headers: { range: "bytes=1234567-4999999" },
      });
      const got = Buffer.from(await range.arrayBuffer());
      assert.ok(got.equals(bytes.subarray(1_234_567, 5_000_000)));
      const whole = Buffer.from(await (await fetch(`${registry.url}/v2/a/blobs/${digest}`)).arrayBuffer());
      assert.ok(whole.equals(bytes));
    });

    test("takes a blob in chunks, and only in order", async () => {
      await using registry = await startTestRegistry(storage);
      const location = await beginUpload(registry.url, "a");
      const patch = (body: string, range: string): Promise<Response> =>
        fetch(location, { method: "PATCH", body, headers: { "content-range": range } });
      const first = await patch("abc", "0-2");
      assert.equal(first.status, 202);
      assert.equal(first.headers.get("range"), "0-2");
      const again = await patch("abc", "0-2");
      assert.equal(again.headers.get("range"), "0-2");
      await assertProblem(again, 416, "BLOB_UPLOAD_INVALID");
      await assertProblem(await patch("xy", "4-5"), 416, "BLOB_UPLOAD_INVALID");
      await assertProblem(await patch("xy", "3-9"), 400, "SIZE_INVALID");
      const status = await fetch(location);
      assert.equal(status.status, 204);
      assert.equal(status.headers.get("range"), "0-2");
      assert.equal(new URL(status.headers.get("location") ?? "", location).href, location);
      const digest = digestOf("abcdef");
      const wrong = { method: "PUT", body: "def", headers: { "content-range": "1-3" } };
      await assertProblem(await fetch(`${location}?digest=${digest}`, wrong), 416, "BLOB_UPLOAD_INVALID");
      const put = await fetch(`${location}?digest=${digest}`, {
        method: "PUT",
        body: "def",
        headers: { "content-range": "3-5" },
      });
      assert.equal(put.status, 201);
      assert.equal(put.headers.get("location"), `/v2/a/blobs/${digest}`);
      assert.equal(await (await fetch(`${registry.url}/v2/a/blobs/${digest}`)).text(), "abcdef");
      await assertProblem(await fetch(location), 404, "BLOB_UPLOAD_UNKNOWN");
    });

    test("takes a stream of unknown length, and sha512", async () => {
      await using registry = await startTestRegistry(storage);
      const location = await beginUpload(registry.url, "a");
      const body = new Blob(["abc", "def"]).stream();
      const patch = await fetch(location, { method: "PATCH", body, duplex: "half" } as RequestInit);
      assert.equal(patch.status, 202);
      const digest = digestOf("abcdef", "sha512");
      assert.equal((await fetch(`${location}?digest=${digest}`, { method: "PUT" })).status, 201);
      assert.equal(await (await fetch(`${registry.url}/v2/a/blobs/${digest}`)).text(), "abcdef");
    });

    test("refuses and forgets a blob with another digest", async () => {
      await using registry = await startTestRegistry(storage);
      const location = await beginUpload(registry.url, "a");
      const put = await fetch(`${location}?digest=${MISSING}`, { method: "PUT", body: "abc" });
      await assertProblem(put, 400, "DIGEST_INVALID");
      assert.equal((await fetch(location)).status, 404);
      const post = await fetch(`${registry.url}/v2/a/blobs/uploads/?digest=${MISSING}`, {
        method: "POST",
        body: "abc",
      });
      await assertProblem(post, 400, "DIGEST_INVALID");
      assert.equal((await fetch(`${registry.url}/v2/a/blobs/${MISSING}`)).status, 404);
      const none = await fetch(await beginUpload(registry.url, "a"), { method: "PUT", body: "abc" });
      await assertProblem(none, 400, "DIGEST_INVALID");
    });

    test("a chunk that is longer than it says leaves no trace", async () => {
      await using registry = await startTestRegistry(storage);
      const location = await beginUpload(registry.url, "a");
      await fetch(location, { method: "PATCH", body: "abc" });
      const body = new Blob(["defghi"]).stream();
      const headers = { "content-range": "3-5" };
      const long = await fetch(location, { method: "PATCH", body, headers, duplex: "half" } as RequestInit);
      await assertProblem(long, 400, "SIZE_INVALID");
      const put = await fetch(`${location}?digest=${digestOf("abcXYZ")}`, { method: "PUT", body: "XYZ" });
      assert.equal(put.status, 201);
    });

    test("keeps what came before a broken connection, and goes on from there", async () => {
      await using registry = await startTestRegistry(storage);
      const location = new URL(await beginUpload(registry.url, "a"));
      const socket = connect(registry.server.port, registry.server.host);
      const headers = "Host: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
      socket.write(`PATCH ${location.pathname} HTTP/1.1\r\n${headers}`);
      await once(socket, "data");
      socket.end("abcde");
      await once(socket, "close");
      const status = await untilSize(location.href, "0-4");
      assert.equal(status, "0-4");
      const put = await fetch(`${location.href}?digest=${digestOf("abcdefg")}`, {
        method: "PUT",
        body: "fg",
      });
      assert.equal(put.status, 201);
    });

    test("lets one request at a time write to an upload", async () => {
      await using registry = await startTestRegistry(storage);
      const location = new URL(await beginUpload(registry.url, "a"));
      const slow = request(location, { method: "PATCH", headers: { expect: "100-continue" } });
      slow.flushHeaders();
      await once(slow, "continue");
      await assertProblem(await fetch(location, { method: "PATCH", body: "x" }), 409, "BLOB_UPLOAD_INVALID");
      slow.end("abc");
      const [response] = await once(slow, "response");
      assert.equal(response.statusCode, 202);
      response.resume();
    });

    test("cancels an upload", async () => {
      await using registry = await startTestRegistry(storage);
      const location = await beginUpload(registry.url, "a");
      assert.equal((await fetch(location, { method: "DELETE" })).status, 204);
      await assertProblem(await fetch(location, { method: "DELETE" }), 404, "BLOB_UPLOAD_UNKNOWN");
      await assertProblem(await fetch(location, { method: "PATCH", body: "x" }), 404, "BLOB_UPLOAD_UNKNOWN");
    });

    test("knows an upload in its own repository only", async () => {
      await using registry = await startTestRegistry(storage);
      const location = await beginUpload(registry.url, "a");
      const other = location.replace("/v2/a/", "/v2/b/");
      await assertProblem(await fetch(other), 404, "BLOB_UPLOAD_UNKNOWN");
      await assertProblem(await fetch(other, { method: "DELETE" }), 404, "BLOB_UPLOAD_UNKNOWN");
      assert.equal((await fetch(location)).status, 204);
    });

    test("shows blobs only where they were pushed or mounted", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushBlob(registry.url, "a", "hello");
      const inB = `${registry.url}/v2/b/blobs/${digest}`;
      await assertProblem(await fetch(inB), 404, "BLOB_UNKNOWN");
      const mount = (query: string): Promise<Response> =>
        fetch(`${registry.url}/v2/b/blobs/uploads/?${query}`, { method: "POST" });
      assert.equal((await mount(`mount=${digest}`)).status, 202);
      assert.equal((await mount(`mount=${digest}&from=c`)).status, 202);
      assert.equal((await fetch(inB)).status, 404);
      const mounted = await mount(`mount=${digest}&from=a`);
      assert.equal(mounted.status, 201);
      assert.equal(mounted.headers.get("location"), `/v2/b/blobs/${digest}`);
      assert.equal(await (await fetch(inB)).text(), "hello");
      await assertProblem(await mount(`mount=${digest}&from=..`), 400, "NAME_INVALID");
    });

    test("deletes a blob from one repository only", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushBlob(registry.url, "a", "hello");
      await pushBlob(registry.url, "b", "hello");
      const inA = `${registry.url}/v2/a/blobs/${digest}`;
      assert.equal((await fetch(inA, { method: "DELETE" })).status, 202);
      await assertProblem(await fetch(inA), 404, "BLOB_UNKNOWN");
      await assertProblem(await fetch(inA, { method: "DELETE" }), 404, "BLOB_UNKNOWN");
      assert.equal((await fetch(`${registry.url}/v2/b/blobs/${digest}`)).status, 200);
    });

    test("keeps manifests as they came, by tag and by digest", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushImage(registry.url, APP, { layer: "layer" });
      for (const reference of ["v1", digest]) {
        const url = `${registry.url}/v2/team/app/manifests/${reference}`;
        const got = await fetch(url);
        assert.equal(got.headers.get("content-type"), MANIFEST);
        assert.equal(got.headers.get("docker-content-digest"), digest);
        assert.equal(digestOf(await got.text()), digest);
        const head = await fetch(url, { method: "HEAD" });
        assert.equal(head.status, 200);
        assert.equal(head.headers.get("content-length"), got.headers.get("content-length"));
      }
      for (const reference of ["v2", MISSING, ".odd"]) {
        const response = await fetch(`${registry.url}/v2/team/app/manifests/${reference}`);
        await assertProblem(response, 404, "MANIFEST_UNKNOWN");
      }
    });

    test("refuses manifests that lack something", async () => {
      await using registry = await startTestRegistry(storage);
      await pushBlob(registry.url, "a", "{}");
      const base = {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: describeContent(CONFIG, "{}"),
        layers: [],
      };
      const target = { repository: "a", reference: "v1" };
      const push = (manifest: Record<string, unknown>): Promise<Response> =>
        pushManifest(registry.url, target, manifest);
      const layers = [describeContent(LAYER, "never pushed")];
      await assertProblem(await push({ ...base, layers }), 404, "MANIFEST_BLOB_UNKNOWN");
      const child = {
        ...describeContent(MANIFEST, "never pushed"),
        platform: { os: "linux", architecture: "amd64" },
      };
      await assertProblem(
        await push({ schemaVersion: 2, mediaType: INDEX, manifests: [child] }),
        404,
        "MANIFEST_BLOB_UNKNOWN",
      );
      await assertProblem(await push({ ...base, layers: "x" }), 400, "MANIFEST_INVALID");
      await assertProblem(await push({ ...base, mediaType: "text/plain" }), 400, "MANIFEST_INVALID");
      await assertProblem(await push({ ...base, manifests: [] }), 400, "MANIFEST_INVALID");
      assert.equal((await fetch(`${registry.url}/v2/a/manifests/v1`)).status, 404);
      const foreign = describeContent("application/vnd.oci.image.layer.nondistributable.v1.tar", "elsewhere");
      assert.equal((await push({ ...base, layers: [foreign] })).status, 201);
    });

    test("refuses manifests that are no JSON, of another type, too large, or under wrong names", async () => {
      await using registry = await startTestRegistry(storage, { limits: { maxManifestBytes: 1000 } });
      await pushBlob(registry.url, "a", "{}");
      const body = JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: describeContent(CONFIG, "{}"),
        layers: [],
      });
      const put = (reference: string, content: string, type: string = MANIFEST): Promise<Response> =>
        fetch(`${registry.url}/v2/a/manifests/${reference}`, {
          method: "PUT",
          body: content,
          headers: { "content-type": type },
        });
      await assertProblem(await put("v1", "{"), 400, "MANIFEST_INVALID");
      await assertProblem(await put("v1", body, INDEX), 400, "MANIFEST_INVALID");
      await assertProblem(await put("v1", body.padEnd(1001)), 413, "SIZE_INVALID");
      await assertProblem(await put(MISSING, body), 400, "DIGEST_INVALID");
      await assertProblem(await put("sha256:abc", body), 400, "DIGEST_INVALID");
      await assertProblem(await put("-bad", body), 400, "MANIFEST_INVALID");
      assert.equal((await put("v1", body, `${MANIFEST}; charset=utf-8`)).status, 201);
      assert.equal((await put(digestOf(body, "sha512"), body)).status, 201);
    });

    test("deletes a tag alone, and a manifest with its tags", async () => {
      await using registry = await startTestRegistry(storage);
      const digest = await pushImage(registry.url, APP, { layer: "layer" });
      await pushImage(registry.url, { ...APP, reference: "v2" }, { layer: "layer" });
      const manifest = (reference: string): string => `${registry.url}/v2/team/app/manifests/${reference}`;
      assert.equal((await fetch(manifest("v1"), { method: "DELETE" })).status, 202);
      assert.equal((await fetch(manifest("v1"))).status, 404);
      assert.equal((await fetch(manifest("v2"))).status, 200);
      assert.equal((await fetch(manifest(digest), { method: "DELETE" })).status, 202);
      assert.equal((await fetch(manifest("v2"))).status, 404);
      await assertProblem(await fetch(manifest(digest), { method: "DELETE" }), 404, "MANIFEST_UNKNOWN");
      const tags = await fetch(`${registry.url}/v2/team/app/tags/list`);
      assert.deepEqual(await tags.json(), { name: "team/app", tags: [] });
    });

    test("lists tags and repositories in pages", async () => {
      await using registry = await startTestRegistry(storage);
      for (const reference of ["b", "a", "C", "d"]) {
        await pushImage(registry.url, { repository: "x", reference }, { layer: "layer" });
      }
      await pushBlob(registry.url, "x/y", "blob");
      const tags = `${registry.url}/v2/x/tags/list`;
      assert.deepEqual(await (await fetch(tags)).json(), { name: "x", tags: ["C", "a", "b", "d"] });
      const first = await fetch(`${tags}?n=2`);
      assert.deepEqual(await first.json(), { name: "x", tags: ["C", "a"] });
      assert.equal(first.headers.get("link"), '</v2/x/tags/list?n=2&last=a>; rel="next"');
      const second = await fetch(`${tags}?n=2&last=a`);
      assert.deepEqual(await second.json(), { name: "x", tags: ["b", "d"] });
      assert.equal(second.headers.get("link"), null);
      const none = await fetch(`${tags}?n=0`);
      assert.deepEqual(await none.json(), { name: "x", tags: [] });
      assert.equal(none.headers.get("link"), null);
      assert.equal((await fetch(`${tags}?n=-1`)).status, 400);
      await assertProblem(await fetch(`${registry.url}/v2/none/tags/list`), 404, "NAME_UNKNOWN");
      const all = await fetch(`${registry.url}/v2/_catalog`);
      assert.deepEqual(await all.json(), { repositories: ["x", "x/y"] });
    });

    test("lists referrers, before and after their subject is there", async () => {
      await using registry = await startTestRegistry(storage);
      const base = { repository: "a" };
      const subject = { mediaType: MANIFEST, digest: MISSING, size: 3 };
      const signature = await pushImage(
        registry.url,
        { ...base, reference: "sig" },
        {
          layer: "signature",
          fields: { subject, artifactType: "application/signature", annotations: { by: "me" } },
        },
      );
      const bill = await pushImage(
        registry.url,
        { ...base, reference: "sbom" },
        { layer: "sbom", fields: { subject } },
      );
      const url = `${registry.url}/v2/a/referrers/${MISSING}`;
      const all = await fetch(url);
      assert.equal(all.headers.get("content-type"), INDEX);
      const index = (await all.json()) as { readonly manifests: readonly Record<string, unknown>[] };
      assert.deepEqual(new Set(index.manifests.map(({ digest }) => digest)), new Set([signature, bill]));
      const filtered = await fetch(`${url}?artifactType=application/signature`);
      assert.equal(filtered.headers.get("oci-filters-applied"), "artifactType");
      const found = (await filtered.json()) as typeof index;
      assert.equal(found.manifests.length, 1);
      assert.equal(found.manifests[0]?.["digest"], signature);
      assert.equal(found.manifests[0]?.["artifactType"], "application/signature");
      assert.deepEqual(found.manifests[0]?.["annotations"], { by: "me" });
      await fetch(`${registry.url}/v2/a/manifests/${signature}`, { method: "DELETE" });
      const rest = (await (await fetch(url)).json()) as typeof index;
      assert.deepEqual(
        rest.manifests.map(({ digest }) => digest),
        [bill],
      );
      const none = await fetch(`${registry.url}/v2/unknown/referrers/${MISSING}`);
      assert.deepEqual(((await none.json()) as typeof index).manifests, []);
    });

    test("says which subject it has taken note of, and which tags", async () => {
      await using registry = await startTestRegistry(storage);
      await pushBlob(registry.url, "a", "{}");
      const subject = { mediaType: MANIFEST, digest: MISSING, size: 3 };
      const manifest = {
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: describeContent(CONFIG, "{}"),
        layers: [],
        subject,
      };
      const digest = digestOf(JSON.stringify(manifest));
      const response = await pushManifest(
        registry.url,
        { repository: "a", reference: `${digest}?tag=one&tag=two` },
        manifest,
      );
      assert.equal(response.headers.get("oci-subject"), MISSING);
      assert.equal(response.headers.get("oci-tag"), "one, two");
      const tags = await fetch(`${registry.url}/v2/a/tags/list`);
      assert.deepEqual(await tags.json(), { name: "a", tags: ["one", "two"] });
    });

    test("bounds the size of blobs and the number of unfinished uploads", async () => {
      const limits = { maxBlobBytes: 4, maxUploads: 2 };
      await using registry = await startTestRegistry(storage, { limits });
      const location = await beginUpload(registry.url, "a");
      const large = await fetch(`${location}?digest=${MISSING}`, { method: "PUT", body: "abcde" });
      await assertProblem(large, 413, "SIZE_INVALID");
      await beginUpload(registry.url, "a");
      const third = await fetch(`${registry.url}/v2/a/blobs/uploads/`, { method: "POST" });
      assert.equal(third.headers.get("retry-after"), "30");
      await assertProblem(third, 429, "TOOMANYREQUESTS");
    });
  });
}

test("a refused request leaves the connection usable, though its body was not wanted", async () => {
  await using registry = await startTestRegistry("memory", { limits: { maxBlobBytes: 1_000_000 } });
  const body = Buffer.alloc(8_000_000);
  const url = `${registry.url}/v2/a/blobs/uploads/00000000-0000-4000-8000-000000000000`;
  await assertProblem(await fetch(url, { method: "PATCH", body }), 404, "BLOB_UPLOAD_UNKNOWN");
  const location = await beginUpload(registry.url, "a");
  await assertProblem(await fetch(location, { method: "PATCH", body }), 413, "SIZE_INVALID");
  assert.equal((await fetch(`${registry.url}/v2/`)).status, 200);
});

test("an observer learns of every request", async () => {
  const seen: RequestInfo[] = [];
  const observed = Promise.withResolvers<void>();
  await using registry = await startTestRegistry("memory", {
    onRequest: (info) => {
      seen.push(info);
      if (seen.length === 2) observed.resolve();
    },
  });
  const digest = await pushBlob(registry.url, "a", "x".repeat(1000));
  await (await fetch(`${registry.url}/v2/a/blobs/${digest}`, { headers: { range: "bytes=0-999" } })).text();
  await observed.promise;
  assert.deepEqual(
    seen.map(({ method, url, range, status }) => ({ method, url, range, status })),
    [
      { method: "POST", url: `/v2/a/blobs/uploads/?digest=${digest}`, range: undefined, status: 201 },
      { method: "GET", url: `/v2/a/blobs/${digest}`, range: "bytes=0-999", status: 206 },
    ],
  );
  assert.ok((seen[1]?.bytesSent ?? 0) > 1000);
});

test("close() ends idle connections and can be called again", async () => {
  await using registry = await startTestRegistry("memory");
  const socket = connect(registry.server.port, registry.server.host);
  socket.write("GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(socket, "data");
  const closed = once(socket, "close");
  await registry.server.close();
  await closed;
  await registry.server.close();
  await assert.rejects(fetch(`${registry.url}/v2/`));
});

test("a client that stops in the middle is cut off", async () => {
  await using registry = await startTestRegistry("memory", { limits: { idleTimeoutMs: 50 } });
  const socket = connect(registry.server.port, registry.server.host);
  socket.on("error", () => undefined);
  socket.write(
    `POST /v2/a/blobs/uploads/?digest=${MISSING} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`,
  );
  socket.resume();
  await once(socket, "close");
});

test("startRegistryServer() says that an address is taken", async () => {
  await using registry = await startTestRegistry("memory");
  await assert.rejects(startTestRegistry("memory", { port: registry.server.port }), {
    code: "NETWORK_FAILED",
  });
});

/** Asks for the status of an upload until it is the expected one; the server learns of a broken connection in its own time. */
async function untilSize(location: string, expected: string): Promise<string | null> {
  for (let attempt = 0; ; attempt += 1) {
    const range = (await fetch(location)).headers.get("range");
    if (range === expected || attempt > 1000) return range;
  }
}
