import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import {
  answer,
  type Script,
  type ScriptedServer,
  type SeenRequest,
  startScriptedServer,
} from "../../test/registry/scripted-server.ts";
import type { Digest } from "../oci/index.ts";
import type { HostConfig } from "./host-config.ts";
import { RegistryClient } from "./registry-client.ts";
import type { Repository } from "./repository.ts";

const BYTES = randomBytes(10_000);
const DIGEST: Digest = `sha256:${createHash("sha256").update(BYTES).digest("hex")}`;

/** A registry's upload endpoints over a buffer; `fault` may answer in its place. */
class UploadRegistry {
  received: Buffer = Buffer.alloc(0);
  stored: Digest[] = [];
  minChunk: number | undefined;
  fault: (request: SeenRequest, response: Parameters<Script>[1]) => boolean = () => false;

  readonly script: Script = (request, response) => {
    if (this.fault(request, response)) return;
    const { method, url, body } = request;
    const minimum = this.minChunk === undefined ? {} : { "oci-chunk-min-length": this.minChunk };
    if (method === "POST") {
      this.received = Buffer.alloc(0);
      return answer(response, 202, { location: "/up/1?_state=a%2Bb", ...minimum });
    }
    if (method === "HEAD")
      return answer(response, this.stored.some((digest) => url.endsWith(digest)) ? 200 : 404);
    if (method === "GET" || method === "PATCH") {
      const start = Number(
        /^(\d+)-/.exec(request.headers["content-range"] ?? "")?.[1] ?? this.received.length,
      );
      if (method === "PATCH" && start !== this.received.length) return answer(response, 416);
      if (method === "PATCH") this.received = Buffer.concat([this.received, body]);
      const range = `0-${Math.max(0, this.received.length - 1)}`;
      return answer(response, method === "GET" ? 204 : 202, { location: "/up/1?_state=c%2Fd", range });
    }
    if (method === "DELETE") return answer(response, 204);
    const whole = Buffer.concat([this.received, body]);
    const digest: Digest = `sha256:${createHash("sha256").update(whole).digest("hex")}`;
    if (!url.endsWith(`&digest=${encodeURIComponent(digest)}`)) {
      return answer(response, 400, {}, '{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}');
    }
    this.stored.push(digest);
    answer(response, 201, { "docker-content-digest": digest });
  };
}

async function withRegistry(
  use: (
    repository: Repository,
    context: { registry: UploadRegistry; server: ScriptedServer; clock: FakeClock },
  ) => Promise<void>,
  config: HostConfig = {},
): Promise<void> {
  const registry = new UploadRegistry();
  const clock = new FakeClock();
  await using server = await startScriptedServer(registry.script);
  await using client = new RegistryClient({ clock, hosts: () => config });
  const repository = client.repository({ registry: server.host, repository: "team/app" });
  await use(repository, { registry, server, clock });
}

async function* pieces(size = 700): AsyncIterable<Uint8Array> {
  for (let at = 0; at < BYTES.length; at += size) yield BYTES.subarray(at, at + size);
}

function outline(server: ScriptedServer): string[] {
  return server.requests.map(({ method, headers }) => {
    const range = headers["content-range"];
    return range === undefined ? method : `${method} ${range}`;
  });
}

/** Lets the registry take `count` bytes of a PATCH and then break the connection, once. */
function breakOnce(registry: UploadRegistry, at: number, count: number): void {
  let broken = false;
  registry.fault = ({ method, headers, body }, response) => {
    if (broken || method !== "PATCH" || !headers["content-range"]?.startsWith(`${at}-`)) return false;
    broken = true;
    registry.received = Buffer.concat([registry.received, body.subarray(0, count)]);
    response.destroy();
    return true;
  };
}

test("pushBlob() of bytes is one POST and one PUT that keeps the session's query", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    assert.deepEqual(await repository.pushBlob(BYTES), { digest: DIGEST, size: 10_000 });
    assert.deepEqual(outline(server), ["POST", "PUT"]);
    assert.equal(server.requests[1]?.url, `/up/1?_state=a%2Bb&digest=${encodeURIComponent(DIGEST)}`);
    assert.deepEqual(registry.stored, [DIGEST]);
  });
});

test("pushBlob() of a short stream is sent whole", async () => {
  await withRegistry(async (repository, { server }) => {
    assert.deepEqual(await repository.pushBlob(pieces()), { digest: DIGEST, size: 10_000 });
    assert.deepEqual(outline(server), ["POST", "PUT"]);
  });
});

test("pushBlob() of a stream sends chunks and computes the digest on the way", async () => {
  await withRegistry(async (repository, { server }) => {
    const pushed = await repository.pushBlob(pieces(), { chunkSize: 4000 });
    assert.deepEqual(pushed, { digest: DIGEST, size: 10_000 });
    assert.deepEqual(outline(server), ["POST", "PATCH 0-3999", "PATCH 4000-7999", "PATCH 8000-9999", "PUT"]);
  });
});

test("pushBlob() makes chunks as large as the registry wants", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    registry.minChunk = 6000;
    await repository.pushBlob(pieces(), { chunkSize: 1000 });
    assert.deepEqual(outline(server), ["POST", "PATCH 0-5999", "PATCH 6000-9999", "PUT"]);
  });
});

test("pushBlob() asks what has arrived after a broken chunk and goes on from there", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    breakOnce(registry, 4000, 1500);
    assert.equal((await repository.pushBlob(pieces(), { chunkSize: 4000 })).digest, DIGEST);
    assert.deepEqual(outline(server).slice(2), [
      "PATCH 4000-7999",
      "GET",
      "PATCH 5500-7999",
      "PATCH 8000-9999",
      "PUT",
    ]);
  });
});

test("pushBlob() realigns after a 416", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    let refused = false;
    registry.fault = ({ method, headers, body }, response) => {
      if (refused || method !== "PATCH" || !headers["content-range"]?.startsWith("4000-")) return false;
      refused = true;
      registry.received = Buffer.concat([registry.received, body]);
      answer(response, 416);
      return true;
    };
    assert.equal((await repository.pushBlob(pieces(), { chunkSize: 4000 })).digest, DIGEST);
    assert.deepEqual(outline(server).slice(2), ["PATCH 4000-7999", "GET", "PATCH 8000-9999", "PUT"]);
  });
});

test("pushBlob() fails when the registry has lost bytes or the session", async () => {
  await withRegistry(async (repository, { registry }) => {
    breakOnce(registry, 4000, 0);
    const { fault } = registry;
    registry.fault = (request, response) => {
      if (request.method === "GET") registry.received = Buffer.alloc(100);
      return fault(request, response);
    };
    await assert.rejects(repository.pushBlob(pieces(), { chunkSize: 4000 }), { code: "UPLOAD_INVALID" });
  });
  await withRegistry(async (repository, { registry, server }) => {
    registry.fault = ({ method, headers }, response) => {
      if (method !== "PATCH" || headers["content-range"]?.startsWith("0-") === true) return false;
      answer(response, 404, {}, '{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}');
      return true;
    };
    await assert.rejects(repository.pushBlob(pieces(), { chunkSize: 4000 }), { code: "UPLOAD_INVALID" });
    assert.equal(outline(server).at(-1), "DELETE");
  });
});

test("pushBlob() streams in one request where chunks are refused, losing nothing", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    registry.fault = ({ method, headers }, response) => {
      if (method !== "PATCH" || headers["content-range"] === undefined) return false;
      answer(response, 400);
      return true;
    };
    assert.equal((await repository.pushBlob(pieces(), { chunkSize: 4000 })).digest, DIGEST);
    assert.deepEqual(
      outline(server).filter((step) => step !== "DELETE"),
      ["POST", "PATCH 0-3999", "POST", "PATCH", "PUT"],
    );
  });
});

test("pushBlob() streams where it was configured", async () => {
  await withRegistry(
    async (repository, { server }) => {
      assert.equal((await repository.pushBlob(pieces(), { chunkSize: 4000 })).digest, DIGEST);
      assert.deepEqual(outline(server), ["POST", "PATCH", "PUT"]);
      assert.equal(server.requests[1]?.headers["transfer-encoding"], "chunked");
    },
    { uploads: "streamed" },
  );
});

test("pushBlob() notices that a PUT whose answer was lost had succeeded", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    let lost = false;
    registry.fault = ({ method }, response) => {
      if (method !== "PUT" || lost) return false;
      lost = true;
      registry.stored.push(DIGEST);
      response.destroy();
      return true;
    };
    await repository.pushBlob(BYTES);
    assert.deepEqual(outline(server), ["POST", "PUT", "DELETE", "HEAD"]);
  });
});

test("pushBlob() sends nothing that contradicts what was promised, and cancels a started upload", async () => {
  const other: Digest = `sha256:${"0".repeat(64)}`;
  await withRegistry(async (repository, { server }) => {
    await assert.rejects(repository.pushBlob(BYTES, { digest: other }), { code: "DIGEST_MISMATCH" });
    await assert.rejects(repository.pushBlob(BYTES, { size: 5 }), { code: "SIZE_MISMATCH" });
    assert.deepEqual(outline(server), []);
    await assert.rejects(repository.pushBlob(pieces(), { digest: other, chunkSize: 9000 }), {
      code: "DIGEST_MISMATCH",
    });
    assert.deepEqual(outline(server), ["POST", "PATCH 0-8999", "PATCH 9000-9999", "DELETE"]);
  });
});

test("pushBlob() cancels its upload and stops its source on abort", async () => {
  await withRegistry(async (repository, { server }) => {
    const controller = new AbortController();
    const reason = new Error("enough");
    let stopped: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (stopped = resolve));
    async function* endless(): AsyncIterable<Uint8Array> {
      try {
        for (let i = 0; ; i += 1) {
          if (i === 30) controller.abort(reason);
          yield BYTES.subarray(0, 500);
        }
      } finally {
        stopped();
      }
    }
    const push = repository.pushBlob(endless(), { chunkSize: 1000, signal: controller.signal });
    await assert.rejects(push, reason);
    await ended;
    assert.equal(outline(server).at(-1), "DELETE");
  });
});

test("pushBlob() does not wait for a silent source after its signal", async () => {
  await withRegistry(async (repository, { server }) => {
    const controller = new AbortController();
    const reason = new Error("enough");
    async function* silent(): AsyncIterable<Uint8Array> {
      yield* pieces();
      controller.abort(reason);
      await new Promise(() => undefined);
    }
    const push = repository.pushBlob(silent(), { chunkSize: 4000, signal: controller.signal });
    await assert.rejects(push, reason);
    assert.equal(outline(server).at(-1), "DELETE");
  });
});

for (const uploads of ["chunked", "streamed"] as const) {
  test(`pushBlob() passes on the source's own error (${uploads})`, async () => {
    const failure = new Error("source broke");
    async function* failing(): AsyncIterable<Uint8Array> {
      yield* pieces();
      throw failure;
    }
    const check = async (repository: Repository, { server }: { server: ScriptedServer }): Promise<void> => {
      await assert.rejects(repository.pushBlob(failing(), { chunkSize: 4000 }), failure);
      assert.equal(outline(server).at(-1), "DELETE");
    };
    await withRegistry(check, { uploads });
  });
}

test("pushBlob() reports a digest that the registry refuses", async () => {
  await withRegistry(async (repository, { registry }) => {
    registry.fault = ({ method }, response) => {
      if (method !== "PUT") return false;
      answer(
        response,
        400,
        {},
        '{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}',
      );
      return true;
    };
    await assert.rejects(repository.pushBlob(BYTES), { code: "DIGEST_MISMATCH" });
  });
});

test("mountBlob() says whether the blob was mounted, and gives up the session that was opened instead", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    assert.equal(await repository.mountBlob(DIGEST, { from: "other/app" }), false);
    assert.deepEqual(outline(server), ["POST", "DELETE"]);
    assert.equal(
      server.requests[0]?.url,
      `/v2/team/app/blobs/uploads/?mount=${encodeURIComponent(DIGEST)}&from=other%2Fapp`,
    );
    registry.fault = (_request, response) => {
      answer(response, 201, { location: "/x" });
      return true;
    };
    assert.equal(await repository.mountBlob(DIGEST, { from: "other/app" }), true);
    registry.fault = (_request, response) => {
      answer(response, 403);
      return true;
    };
    assert.equal(await repository.mountBlob(DIGEST, { from: "other/app" }), false);
  });
});

test("hasBlob() falls back to a one-byte GET where HEAD is refused", async () => {
  await withRegistry(async (repository, { server, registry }) => {
    assert.equal(await repository.hasBlob(DIGEST), false);
    registry.stored.push(DIGEST);
    assert.equal(await repository.hasBlob(DIGEST), true);
    registry.fault = ({ method }, response) => {
      answer(response, method === "HEAD" ? 403 : 206, {}, method === "HEAD" ? "" : "x");
      return true;
    };
    assert.equal(await repository.hasBlob(DIGEST), true);
    assert.equal(server.requests.at(-1)?.headers.range, "bytes=0-0");
  });
});

test("fetchBlobSize() tells a size from a first byte, from a whole answer, and says what it did not find", async () => {
  await withRegistry(async (repository, { registry, server }) => {
    const answers: readonly (readonly [number, Record<string, string>, string])[] = [
      [206, { "content-range": "bytes 0-0/10000" }, "x"],
      [200, {}, "y".repeat(500)],
      [416, {}, ""],
    ];
    const sizes: number[] = [];
    for (const [status, headers, body] of answers) {
      registry.fault = (_request, response) => {
        answer(response, status, headers, body);
        return true;
      };
      sizes.push(await repository.fetchBlobSize(DIGEST));
    }
    assert.deepEqual(sizes, [10_000, 500, 0]);
    assert.equal(server.requests.at(-1)?.headers.range, "bytes=0-0");
    registry.fault = (_request, response) => {
      answer(response, 206, { "content-range": "bytes 0-0/*" }, "x");
      return true;
    };
    await assert.rejects(repository.fetchBlobSize(DIGEST), { code: "REGISTRY_PROTOCOL" });
    registry.fault = (_request, response) => {
      answer(response, 404);
      return true;
    };
    await assert.rejects(repository.fetchBlobSize(DIGEST), { code: "REGISTRY_NOT_FOUND" });
  });
});
