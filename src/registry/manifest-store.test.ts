import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import {
  answer,
  type Script,
  type SeenRequest,
  startScriptedServer,
} from "../../test/registry/scripted-server.ts";
import { type Digest, MAX_MANIFEST_BYTES, MEDIA_TYPES } from "../oci/index.ts";
import { RegistryClient } from "./registry-client.ts";
import type { Repository } from "./repository.ts";

const ZEROS: Digest = `sha256:${"0".repeat(64)}`;
const CONFIG = { mediaType: MEDIA_TYPES.ociConfig, digest: ZEROS, size: 2 };
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest,
  config: CONFIG,
  layers: [],
});
const DIGEST: Digest = `sha256:${createHash("sha256").update(MANIFEST).digest("hex")}`;
const HEADERS = { "content-type": MEDIA_TYPES.ociManifest, "docker-content-digest": DIGEST };
const DESCRIPTOR = { mediaType: MEDIA_TYPES.ociManifest, digest: DIGEST, size: MANIFEST.length };

async function withServer(
  script: Script,
  use: (repository: Repository, requests: SeenRequest[]) => Promise<void>,
): Promise<void> {
  await using server = await startScriptedServer(script);
  await using client = new RegistryClient({ clock: new FakeClock() });
  await use(client.repository({ registry: server.host, repository: "team/app" }), server.requests);
}

const good: Script = (_request, response) => answer(response, 200, HEADERS, MANIFEST);

test("fetchManifest() gives bytes and descriptor, and asks for all kinds of manifests", async () => {
  await withServer(good, async (repository) => {
    const content = await repository.fetchManifest("latest");
    assert.deepEqual(content.descriptor, DESCRIPTOR);
    assert.equal(Buffer.from(content.bytes).toString(), MANIFEST);
    assert.deepEqual((await repository.fetchManifest(DIGEST)).descriptor, DESCRIPTOR);
  });
});

test("fetchManifest() computes the digest where the registry states none", async () => {
  const silent: Script = (_request, response) =>
    answer(response, 200, { "content-type": "application/json" }, MANIFEST);
  await withServer(silent, async (repository) => {
    assert.deepEqual((await repository.fetchManifest("latest")).descriptor, DESCRIPTOR);
  });
});

test("fetchManifest() refuses bytes that are not what was asked for or stated", async () => {
  await withServer(good, async (repository) => {
    await assert.rejects(repository.fetchManifest(ZEROS), { code: "DIGEST_MISMATCH" });
  });
  const lying: Script = (_request, response) => {
    answer(response, 200, { ...HEADERS, "docker-content-digest": ZEROS }, MANIFEST);
  };
  await withServer(lying, async (repository) => {
    await assert.rejects(repository.fetchManifest("latest"), { code: "DIGEST_MISMATCH" });
  });
});

test("fetchManifest() refuses too many bytes, announced or not, before it holds them", async () => {
  const announced: Script = (_request, response) => {
    response.writeHead(200, { "content-length": MAX_MANIFEST_BYTES + 1 });
    response.flushHeaders();
  };
  const endless: Script = (_request, response) => {
    response.writeHead(200);
    const block = Buffer.alloc(1 << 20, " ");
    const more = (): void => {
      if (!response.destroyed) response.write(block, more);
    };
    more();
  };
  for (const script of [announced, endless]) {
    await withServer(script, async (repository) => {
      await assert.rejects(repository.fetchManifest("latest"), { code: "LIMIT_EXCEEDED" });
    });
  }
});

test("fetchManifest() tells what the registry said", async () => {
  const unknown: Script = (_request, response) => {
    answer(response, 404, {}, '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
  };
  await withServer(unknown, async (repository, requests) => {
    await assert.rejects(
      repository.fetchManifest("v1"),
      (error: Error & { code?: string; details?: object }) => {
        assert.equal(error.code, "REGISTRY_NOT_FOUND");
        assert.match(
          error.message,
          /^Cannot fetch manifest "127\.0\.0\.1:\d+\/team\/app:v1": .*\(MANIFEST_UNKNOWN: manifest unknown\)$/,
        );
        return true;
      },
    );
    assert.equal(requests.length, 1);
  });
});

test("fetchManifest() refuses references that are none before it asks anybody", async () => {
  await withServer(good, async (repository, requests) => {
    for (const reference of ["", "a b", "../x", "sha256:abc", "a/b"]) {
      await assert.rejects(repository.fetchManifest(reference), { code: "REFERENCE_INVALID" });
    }
    assert.equal(requests.length, 0);
  });
});

test("resolve() needs one HEAD where the registry states everything", async () => {
  await withServer(good, async (repository, requests) => {
    assert.deepEqual(await repository.resolve("latest"), DESCRIPTOR);
    assert.deepEqual(
      requests.map(({ method }) => method),
      ["HEAD"],
    );
  });
});

test("resolve() falls back to GET where HEAD says too little or is refused", async () => {
  const poor: Script = ({ method }, response) => {
    answer(response, 200, { "content-type": MEDIA_TYPES.ociManifest }, method === "HEAD" ? "" : MANIFEST);
  };
  const refusing: Script = ({ method }, response) => {
    if (method === "HEAD") answer(response, 405);
    else answer(response, 200, HEADERS, MANIFEST);
  };
  for (const script of [poor, refusing]) {
    await withServer(script, async (repository, requests) => {
      assert.deepEqual(await repository.resolve("latest"), DESCRIPTOR);
      assert.deepEqual(
        requests.map(({ method }) => method),
        ["HEAD", "GET"],
      );
    });
  }
});

test("resolve() refuses another digest than the one asked for", async () => {
  await withServer(good, async (repository) => {
    await assert.rejects(repository.resolve(ZEROS), { code: "DIGEST_MISMATCH" });
  });
});

test("pushManifest() tries again after a server error and returns the descriptor", async () => {
  let turn = 0;
  const flaky: Script = (_request, response) => {
    turn += 1;
    answer(response, turn === 1 ? 503 : 201, { "docker-content-digest": DIGEST });
  };
  await withServer(flaky, async (repository, requests) => {
    const options = { mediaType: MEDIA_TYPES.ociManifest, reference: "v1" };
    assert.deepEqual(await repository.pushManifest(Buffer.from(MANIFEST), options), DESCRIPTOR);
    assert.deepEqual(
      requests.map(({ method, url, headers }) => [method, url, headers["content-type"]]),
      [
        ["PUT", "/v2/team/app/manifests/v1", MEDIA_TYPES.ociManifest],
        ["PUT", "/v2/team/app/manifests/v1", MEDIA_TYPES.ociManifest],
      ],
    );
  });
});

test("pushManifest() refuses a digest that the bytes do not have", async () => {
  await withServer(good, async (repository, requests) => {
    const push = repository.pushManifest(Buffer.from(MANIFEST), {
      mediaType: MEDIA_TYPES.ociManifest,
      reference: ZEROS,
    });
    await assert.rejects(push, { code: "DIGEST_MISMATCH" });
    assert.equal(requests.length, 0);
  });
});

test("deleteManifest() says when a registry does not allow it", async () => {
  const refusing: Script = (_request, response) =>
    answer(response, 405, {}, '{"errors":[{"code":"UNSUPPORTED"}]}');
  await withServer(refusing, async (repository) => {
    await assert.rejects(repository.deleteManifest(DIGEST), { code: "NOT_SUPPORTED" });
  });
});

test("listTags() follows pages on its own origin and ends when they repeat", async () => {
  const pages: Script = ({ url }, response) => {
    const last = new URL(url, "http://x").searchParams.get("last");
    const page = last === null ? ["a", "b"] : last === "b" ? ["c"] : ["d"];
    const link = last === null ? '</v2/team/app/tags/list?last=b>; rel="next"' : '<list?last=c>; rel="next"';
    answer(response, 200, { link }, JSON.stringify({ name: "team/app", tags: page }));
  };
  await withServer(pages, async (repository, requests) => {
    const tags = [];
    for await (const tag of repository.listTags()) tags.push(tag);
    assert.deepEqual(tags, ["a", "b", "c", "d"]);
    assert.equal(requests[2]?.url, "/v2/team/app/tags/list?last=c");
  });
  const elsewhere: Script = (_request, response) => {
    answer(response, 200, { link: '<http://127.0.0.1:1/next>; rel="next"' }, '{"tags":null}');
  };
  await withServer(elsewhere, async (repository) => {
    for await (const tag of repository.listTags()) assert.fail(tag);
  });
});

test("listTags() refuses pages that hold no tags", async () => {
  const garbage: Script = (_request, response) => answer(response, 200, {}, "<html>");
  await withServer(garbage, async (repository) => {
    const listed = repository.listTags()[Symbol.asyncIterator]().next();
    await assert.rejects(listed, { code: "REGISTRY_PROTOCOL" });
  });
});

const REFERRER = {
  mediaType: MEDIA_TYPES.ociManifest,
  digest: DIGEST,
  size: 9,
  artifactType: "test/signature",
};
const INDEX = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [REFERRER] });

test("listReferrers() uses the API where there is one, and filters", async () => {
  const api: Script = (_request, response) =>
    answer(response, 200, { "content-type": MEDIA_TYPES.ociIndex }, INDEX);
  await withServer(api, async (repository, requests) => {
    assert.deepEqual(await repository.listReferrers(ZEROS), [REFERRER]);
    assert.deepEqual(await repository.listReferrers(ZEROS, { artifactType: "other" }), []);
    assert.equal(requests[0]?.url, `/v2/team/app/referrers/${ZEROS}`);
  });
});

test("listReferrers() falls back to the tag made of the digest", async () => {
  const tagged: Script = ({ url }, response) => {
    const found = url === `/v2/team/app/manifests/sha256-${"0".repeat(64)}`;
    answer(
      response,
      found ? 200 : 404,
      { "content-type": MEDIA_TYPES.ociIndex },
      found ? INDEX : "404 page not found",
    );
  };
  await withServer(tagged, async (repository) => {
    assert.deepEqual(await repository.listReferrers(ZEROS), [REFERRER]);
    assert.deepEqual(await repository.listReferrers(DIGEST), []);
  });
});

test("pushManifest() keeps the index of referrers where the registry does not", async () => {
  const subject = { mediaType: MEDIA_TYPES.ociManifest, digest: ZEROS, size: 1 };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    artifactType: "test/signature",
    config: CONFIG,
    layers: [],
    subject,
    annotations: { a: "b" },
  });
  const old: Script = ({ method }, response) => answer(response, method === "PUT" ? 201 : 404);
  const options = { mediaType: MEDIA_TYPES.ociManifest };
  await withServer(old, async (repository, requests) => {
    const { digest } = await repository.pushManifest(Buffer.from(manifest), options);
    const index = requests.at(-1);
    assert.equal(index?.url, `/v2/team/app/manifests/sha256-${"0".repeat(64)}`);
    assert.deepEqual(JSON.parse(index?.body.toString() ?? ""), {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [
        {
          mediaType: MEDIA_TYPES.ociManifest,
          digest,
          size: manifest.length,
          artifactType: "test/signature",
          annotations: { a: "b" },
        },
      ],
    });
  });
  const modern: Script = (_request, response) => answer(response, 201, { "oci-subject": ZEROS });
  await withServer(modern, async (repository, requests) => {
    await repository.pushManifest(Buffer.from(manifest), options);
    assert.equal(requests.length, 1);
  });
});
