import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { FakeClock } from "../../test/registry/fake-clock.ts";
import {
  answer,
  answerRange,
  rangeOf,
  type Script,
  type SeenRequest,
  startScriptedServer,
} from "../../test/registry/scripted-server.ts";
import type { BlobSource } from "../blob/index.ts";
import type { Digest } from "../oci/index.ts";
import { RegistryClient, type RegistryClientOptions } from "./registry-client.ts";

const BYTES = randomBytes(200_000);
const DIGEST: Digest = `sha256:${createHash("sha256").update(BYTES).digest("hex")}`;
const PATH = `/v2/team/app/blobs/${DIGEST}`;

/** Runs `check` with a blob that lies on a server with this behaviour. */
async function withBlob(
  script: Script,
  check: (blob: BlobSource, context: { requests: SeenRequest[]; clock: FakeClock }) => Promise<void>,
  options: RegistryClientOptions & { size?: number; digest?: Digest } = {},
): Promise<void> {
  const clock = new FakeClock();
  await using server = await startScriptedServer(script);
  await using client = new RegistryClient({ clock, random: () => 0.5, ...options });
  const repository = client.repository({ registry: server.host, repository: "team/app" });
  const blob = repository.openBlob({
    digest: options.digest ?? DIGEST,
    size: options.size ?? BYTES.length,
  });
  await check(blob, { requests: server.requests, clock });
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

/** The n-th request (from 0) is answered by the n-th script, further ones by the last. */
function inTurn(...scripts: Script[]): Script {
  let turn = 0;
  return (request, response) => {
    const script = scripts[Math.min(turn, scripts.length - 1)];
    turn += 1;
    return script?.(request, response);
  };
}

const good: Script = (request, response) => answerRange(request, response, BYTES);

/** Announces the whole range, sends `count` bytes of it, then cuts the connection. */
function breakAfter(count: number): Script {
  return (request, response) => {
    const [first, last] = rangeOf(request) ?? [0, BYTES.length - 1];
    response.writeHead(rangeOf(request) === undefined ? 200 : 206, {
      "content-length": last - first + 1,
      "content-range": `bytes ${first}-${last}/${BYTES.length}`,
    });
    response.write(BYTES.subarray(first, first + count), () => response.destroy());
  };
}

test("read() asks for one absolute range and returns its bytes", async () => {
  await withBlob(good, async (blob, { requests }) => {
    assert.deepEqual(Buffer.from(await blob.read({ offset: 1000, size: 500 })), BYTES.subarray(1000, 1500));
    assert.equal(requests[0]?.headers.range, "bytes=1000-1499");
    assert.equal(requests[0]?.headers["accept-encoding"], "identity");
    assert.equal(requests[0]?.url, PATH);
  });
});

test("read() of nothing makes no request, and a range outside is refused", async () => {
  await withBlob(good, async (blob, { requests }) => {
    assert.equal((await blob.read({ offset: 10, size: 0 })).length, 0);
    await assert.rejects(blob.read({ offset: 199_999, size: 2 }), { code: "RANGE_INVALID" });
    assert.equal(requests.length, 0);
  });
});

test("stream() of a whole blob verifies its digest", async () => {
  await withBlob(good, async (blob) => {
    assert.deepEqual(await collect(blob.stream({ offset: 0, size: BYTES.length })), BYTES);
  });
  const digest: Digest = `sha256:${"0".repeat(64)}`;
  await withBlob(
    good,
    async (blob) => {
      await assert.rejects(collect(blob.stream({ offset: 0, size: BYTES.length })), {
        code: "DIGEST_MISMATCH",
      });
    },
    { digest },
  );
});

test("stream() of an empty blob verifies its digest without a request", async () => {
  await withBlob(
    good,
    async (blob, { requests }) => {
      await assert.rejects(collect(blob.stream({ offset: 0, size: 0 })), { code: "DIGEST_MISMATCH" });
      assert.equal(requests.length, 0);
    },
    { size: 0 },
  );
});

test("stream() goes on where a connection broke, byte for byte", async () => {
  await withBlob(inTurn(breakAfter(50_000), breakAfter(30_000), good), async (blob, { requests }) => {
    assert.deepEqual(await collect(blob.stream({ offset: 0, size: BYTES.length })), BYTES);
    assert.equal(requests[0]?.headers.range, undefined);
    const starts = requests.slice(1).map((request) => rangeOf(request)?.[0] ?? -1);
    assert.deepEqual(starts, [50_000, 80_000]);
  });
});

test("read() goes on after a body that ends early without an error", async () => {
  const short: Script = (request, response) => {
    const [first, last] = rangeOf(request) ?? [0, 0];
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${BYTES.length}` });
    response.end(BYTES.subarray(first, first + 10));
  };
  await withBlob(inTurn(short, good), async (blob, { requests }) => {
    assert.deepEqual(Buffer.from(await blob.read({ offset: 5, size: 100 })), BYTES.subarray(5, 105));
    assert.equal(requests[1]?.headers.range, "bytes=15-104");
  });
});

test("read() asks for the rest when a server sends a shorter range than asked", async () => {
  const stingy: Script = (request, response) => {
    const [first, last] = rangeOf(request) ?? [0, 0];
    const end = Math.min(last, first + 39);
    const headers = { "content-range": `bytes ${first}-${end}/*` };
    answer(response, 206, headers, BYTES.subarray(first, end + 1));
  };
  await withBlob(
    stingy,
    async (blob) => {
      assert.deepEqual(Buffer.from(await blob.read({ offset: 0, size: 100 })), BYTES.subarray(0, 100));
    },
    {},
  );
});

test("stream() gives up on a server that breaks off again and again", async () => {
  await withBlob(breakAfter(10), async (blob, { requests }) => {
    await assert.rejects(collect(blob.stream({ offset: 0, size: BYTES.length })), { code: "NETWORK_FAILED" });
    assert.equal(requests.length, 6);
  });
});

test("read() cuts the range out of a whole answer when a server ignores ranges", async () => {
  const ignoring: Script = (_request, response) => answer(response, 200, {}, BYTES);
  await withBlob(ignoring, async (blob) => {
    assert.deepEqual(
      Buffer.from(await blob.read({ offset: 150_000, size: 10 })),
      BYTES.subarray(150_000, 150_010),
    );
  });
});

test("read() far into a blob does not make a server that ignores ranges send everything", async () => {
  const size = 10 * 1024 ** 3;
  const endless: Script = (_request, response) => {
    response.writeHead(200);
    const more = (): void => {
      if (!response.destroyed) response.write(BYTES, more);
    };
    more();
  };
  await withBlob(
    endless,
    async (blob) => {
      await assert.rejects(blob.read({ offset: size - 100, size: 100 }), { code: "NOT_SUPPORTED" });
    },
    { size },
  );
});

test("read() stops an answer that goes on beyond the range", async () => {
  const endless: Script = (request, response) => {
    const [first, last] = rangeOf(request) ?? [0, 0];
    response.writeHead(206, { "content-range": `bytes ${first}-${last}/${BYTES.length}` });
    const more = (): void => {
      if (!response.destroyed) response.write(BYTES.subarray(0, 1000), more);
    };
    response.write(BYTES.subarray(first, last + 1), more);
  };
  await withBlob(endless, async (blob) => {
    assert.deepEqual(Buffer.from(await blob.read({ offset: 7, size: 50 })), BYTES.subarray(7, 57));
  });
});

test("stream() refuses a blob that is longer or shorter than its descriptor says", async () => {
  const chunked: Script = (_request, response) => {
    response.writeHead(200);
    response.end(BYTES);
  };
  for (const script of [good, chunked]) {
    await withBlob(
      script,
      async (blob) => {
        await assert.rejects(collect(blob.stream({ offset: 0, size: 1000 })), { code: "SIZE_MISMATCH" });
      },
      { size: 1000 },
    );
  }
  const past: Script = (_request, response) => answer(response, 416, { "content-range": "bytes */200000" });
  await withBlob(
    past,
    async (blob) => {
      await assert.rejects(blob.read({ offset: 250_000, size: 10 }), { code: "SIZE_MISMATCH" });
    },
    { size: 300_000 },
  );
});

test("read() refuses partial answers without the range that was asked for", async () => {
  const ranges = [undefined, "bytes 0-9/200000", "bytes 100-209/200000", "garbage", "bytes 100-109/10"];
  for (const range of ranges) {
    const lying: Script = (_request, response) => {
      answer(response, 206, range === undefined ? {} : { "content-range": range }, BYTES.subarray(0, 10));
    };
    await withBlob(lying, async (blob) => {
      await assert.rejects(
        blob.read({ offset: 100, size: 10 }),
        { code: "REGISTRY_PROTOCOL" },
        String(range),
      );
    });
  }
  const other: Script = (_request, response) => {
    answer(response, 206, { "content-range": "bytes 100-109/777" }, BYTES.subarray(100, 110));
  };
  await withBlob(other, async (blob) => {
    await assert.rejects(blob.read({ offset: 100, size: 10 }), { code: "SIZE_MISMATCH" });
  });
});

test("read() refuses several ranges in one answer and content encodings", async () => {
  const multipart: Script = (_request, response) => {
    answer(response, 206, { "content-type": "multipart/byteranges; boundary=x" }, "--x\r\n");
  };
  const zipped: Script = (_request, response) => answer(response, 200, { "content-encoding": "gzip" }, "x");
  for (const script of [multipart, zipped]) {
    await withBlob(script, async (blob) => {
      await assert.rejects(blob.read({ offset: 1, size: 10 }), { code: "REGISTRY_PROTOCOL" });
    });
  }
});

test("read() waits as long as Retry-After says, in seconds and as a date", async () => {
  const busy = (status: number, value: string): Script => {
    return (_request, response) => answer(response, status, { "retry-after": value });
  };
  const script = inTurn(busy(429, "7"), busy(503, "Sat, 21 Nov 2026 12:00:17 GMT"), good);
  await withBlob(script, async (blob, { clock }) => {
    assert.equal((await blob.read({ offset: 0, size: 10 })).length, 10);
    assert.deepEqual(clock.sleeps, [7000, 10_000]);
  });
});

test("read() does not wait beyond its deadline for a registry that asks to slow down", async () => {
  const busy: Script = (_request, response) => answer(response, 429, { "retry-after": "3600" });
  await withBlob(busy, async (blob, { clock, requests }) => {
    await assert.rejects(blob.read({ offset: 0, size: 10 }), { code: "REGISTRY_RATE_LIMITED" });
    assert.deepEqual([clock.sleeps, requests.length], [[], 1]);
  });
});

test("read() backs off from server errors, longer each time, with jitter", async () => {
  const failing: Script = (_request, response) => answer(response, 502, {}, "<html>");
  await withBlob(inTurn(failing, failing, failing, good), async (blob, { clock }) => {
    await blob.read({ offset: 0, size: 10 });
    // 200, 400, 800 ms; half of it fixed, half of the rest at random() = 0.5.
    assert.deepEqual(clock.sleeps, [150, 300, 600]);
  });
});

test("read() does not try again what stays wrong", async () => {
  const codes = {
    404: "REGISTRY_NOT_FOUND",
    403: "REGISTRY_DENIED",
    501: "NOT_SUPPORTED",
    400: "REGISTRY_PROTOCOL",
  };
  for (const [status, code] of Object.entries(codes)) {
    const refusing: Script = (_request, response) => answer(response, Number(status));
    await withBlob(refusing, async (blob, { requests }) => {
      await assert.rejects(blob.read({ offset: 0, size: 10 }), { code });
      assert.equal(requests.length, 1);
    });
  }
});

test("read() breaks off an answer without a byte for too long, and resumes", async () => {
  const stalling: Script = (request, response) => {
    const [first, last] = rangeOf(request) ?? [0, 0];
    response.writeHead(206, {
      "content-range": `bytes ${first}-${last}/${BYTES.length}`,
      "content-length": 100,
    });
    response.write(BYTES.subarray(first, first + 25));
  };
  const silent: Script = () => undefined;
  await withBlob(
    inTurn(stalling, silent, good),
    async (blob, { requests }) => {
      assert.deepEqual(Buffer.from(await blob.read({ offset: 0, size: 100 })), BYTES.subarray(0, 100));
      assert.deepEqual(
        requests.map((request) => request.headers.range),
        ["bytes=0-99", "bytes=25-99", "bytes=25-99"],
      );
    },
    // Longer than the answers of this process take, even where it has to wait for a core.
    { stallTimeoutMs: 5000 },
  );
});

test("read() breaks off an answer that crawls, and resumes", async () => {
  let passTime = (): void => undefined;
  const crawling: Script = (_request, response) => {
    response.writeHead(206, { "content-range": `bytes 0-99/${BYTES.length}`, "content-length": 100 });
    let at = 0;
    // A byte for each 20 seconds, which pass quickly.
    const timer = setInterval(() => {
      passTime();
      response.write(BYTES.subarray(at, at + 1));
      at += 1;
    }, 5);
    response.on("close", () => clearInterval(timer));
  };
  await withBlob(inTurn(crawling, good), async (blob, { requests, clock }) => {
    passTime = () => (clock.now += 20_000);
    assert.deepEqual(Buffer.from(await blob.read({ offset: 0, size: 100 })), BYTES.subarray(0, 100));
    assert.match(requests[1]?.headers.range ?? "", /^bytes=[1-9]-99$/);
  });
});

test("read() rejects with the signal's reason, before and while the body arrives", async () => {
  const reason = new Error("enough");
  await withBlob(good, async (blob, { requests }) => {
    await assert.rejects(blob.read({ offset: 0, size: 1 }, { signal: AbortSignal.abort(reason) }), reason);
    assert.equal(requests.length, 0);
  });
  const controller = new AbortController();
  const hanging: Script = (_request, response) => {
    response.writeHead(206, { "content-range": `bytes 0-99/${BYTES.length}`, "content-length": 100 });
    response.write("x", () => controller.abort(reason));
  };
  await withBlob(hanging, async (blob, { clock }) => {
    await assert.rejects(blob.read({ offset: 0, size: 100 }, { signal: controller.signal }), reason);
    assert.deepEqual(clock.sleeps, []);
  });
});

test("stream() releases its connection when the consumer stops early", async () => {
  let closed: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (closed = resolve));
  const endless: Script = (_request, response: ServerResponse) => {
    response.on("close", closed);
    response.writeHead(200, { "content-length": BYTES.length });
    response.write(BYTES.subarray(0, 1000));
  };
  await withBlob(endless, async (blob) => {
    for await (const chunk of blob.stream({ offset: 0, size: BYTES.length })) {
      assert.equal(chunk.length, 1000);
      break;
    }
    await released;
  });
});

test("the observer counts every exchange without query strings", async () => {
  const records: unknown[] = [];
  const redirecting: Script = (request, response) => {
    if (request.url === PATH) answer(response, 307, { location: "/store/x?signature=secret" });
    else answerRange(request, response, BYTES);
  };
  await withBlob(redirecting, async (blob) => void (await blob.read({ offset: 5, size: 10 })), {
    onRequest: ({ method, path, status, bytesReceived, range }) => {
      records.push({ method, path, status, bytesReceived, range });
    },
  });
  const range = { offset: 5, size: 10 };
  assert.deepEqual(records, [
    { method: "GET", path: PATH, status: 307, bytesReceived: 0, range },
    { method: "GET", path: "/store/x", status: 206, bytesReceived: 10, range },
  ]);
});

test("reads one after another keep their connections", async () => {
  await using server = await startScriptedServer(good);
  await using client = new RegistryClient();
  const blob = client
    .repository({ registry: server.host, repository: "team/app" })
    .openBlob({ digest: DIGEST, size: BYTES.length });
  for (let i = 0; i < 20; i += 1) await blob.read({ offset: i * 1000, size: 70_000 });
  await collect(blob.stream({ offset: 0, size: BYTES.length }));
  // The pool may open a second one while the first is being put back.
  assert.ok(server.connections() <= 2, `${server.connections()} connections`);
});
