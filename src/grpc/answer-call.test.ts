// What clients may send that a proper one does not, byte by byte.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { type ClientHttp2Session, connect, constants, type OutgoingHttpHeaders } from "node:http2";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type GrpcRouter, serveGrpc, Snapshots } from "./index.ts";

const STAT = "/containerd.services.snapshots.v1.Snapshots/Stat";
const LIST = "/containerd.services.snapshots.v1.Snapshots/List";
const EMPTY = [0, 0, 0, 0, 0];

async function sessionTo(t: TestContext, routes: (router: GrpcRouter) => void): Promise<ClientHttp2Session> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-call-"));
  const path = join(folder, "test.sock");
  const server = await serveGrpc({ routes, listen: { path } });
  const session = connect("http://localhost", { createConnection: () => connectSocket(path) });
  t.after(async () => {
    session.destroy();
    await server.close();
    await rm(folder, { recursive: true });
  });
  return session;
}

interface Answered {
  readonly status: unknown;
  /** From the trailers, or from the headers where nothing follows them. */
  readonly grpcStatus: unknown;
  readonly message: unknown;
  readonly bytes: number;
}

async function ask(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body: readonly number[],
): Promise<Answered> {
  const stream = session.request({
    ":method": "POST",
    ":path": STAT,
    "content-type": "application/grpc",
    ...headers,
  });
  let seen: Record<string, unknown> = {};
  let bytes = 0;
  stream.on("response", (response) => (seen = { ...seen, ...response }));
  stream.on("trailers", (trailers) => (seen = { ...seen, ...trailers }));
  stream.on("data", (piece: Buffer) => (bytes += piece.length));
  stream.end(Uint8Array.from(body));
  await new Promise((resolve, reject) => stream.once("close", resolve).once("error", reject));
  return {
    status: seen[":status"],
    grpcStatus: seen["grpc-status"],
    message: seen["grpc-message"],
    bytes,
  };
}

function answerAll(router: GrpcRouter): void {
  router.service(Snapshots, {
    stat: ({ key }) => {
      if (key === "") return {};
      throw new Error(`no "${key}": 100 %, \u00e9`);
    },
    list: async function* () {},
  });
}

test("a call is answered with its message and status 0, a stream without messages with the status alone", async (t) => {
  const session = await sessionTo(t, answerAll);
  const one = { status: 200, grpcStatus: "0", message: undefined, bytes: 5 };
  assert.deepEqual(await ask(session, {}, EMPTY), one);
  assert.deepEqual(await ask(session, { "content-type": "application/grpc+proto" }, EMPTY), one);
  assert.deepEqual(await ask(session, { ":path": LIST }, EMPTY), { ...one, bytes: 0 });
});

test("what is no call of gRPC is refused by HTTP", async (t) => {
  const session = await sessionTo(t, answerAll);
  const refused = { grpcStatus: undefined, message: undefined, bytes: 0 };
  assert.deepEqual(await ask(session, { ":method": "PUT" }, EMPTY), { status: 405, ...refused });
  assert.deepEqual(await ask(session, { "content-type": "application/json" }, EMPTY), {
    status: 415,
    ...refused,
  });
  assert.deepEqual(await ask(session, { "content-type": "application/grpc-web" }, EMPTY), {
    status: 415,
    ...refused,
  });
});

test("messages of errors are percent-encoded", async (t) => {
  const session = await sessionTo(t, answerAll);
  // Field 2, a string: the key.
  const { grpcStatus, message } = await ask(session, {}, [0, 0, 0, 0, 3, 0x12, 1, 0x61]);
  assert.equal(grpcStatus, "13");
  assert.equal(decodeURIComponent(String(message)), 'no "a": 100 %, \u00e9');
  assert.match(String(message), /^[ -~]*$/);
});

test("unknown methods, and bytes that are no message, have a status", async (t) => {
  const session = await sessionTo(t, answerAll);
  const statusOf = async (headers: OutgoingHttpHeaders, body: readonly number[]): Promise<unknown> =>
    (await ask(session, headers, body)).grpcStatus;
  assert.equal(
    await statusOf({ ":path": "/containerd.services.snapshots.v1.Snapshots/Nothing" }, EMPTY),
    "12",
  );
  assert.equal(await statusOf({ ":path": "/" }, EMPTY), "12");
  assert.equal(await statusOf({}, []), "12");
  assert.equal(await statusOf({}, [...EMPTY, ...EMPTY]), "12");
  assert.equal(await statusOf({}, [1, 0, 0, 0, 0]), "12");
  assert.equal(await statusOf({}, [0, 0, 0, 0, 9, 1]), "13");
  assert.equal(await statusOf({}, [0, 0, 0, 0, 1, 0xff]), "3");
  assert.equal(await statusOf({ "grpc-timeout": "soon" }, EMPTY), "3");
});

test("a client that announces too much is told before it has sent it", async (t) => {
  const session = await sessionTo(t, answerAll);
  const stream = session.request({ ":method": "POST", ":path": STAT, "content-type": "application/grpc" });
  stream.write(Uint8Array.of(0, 1, 0, 0, 1));
  const response = await new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
  assert.equal(response["grpc-status"], "8");
  stream.resume();
  await new Promise((resolve) => stream.once("close", resolve));
  assert.equal(stream.rstCode, constants.NGHTTP2_NO_ERROR);
});

test("a handler learns that its client has gone, in the middle of an answer too", async (t) => {
  const entered = Promise.withResolvers<AbortSignal>();
  const ended = Promise.withResolvers<string>();
  const session = await sessionTo(t, (router) =>
    router.service(Snapshots, {
      stat: async (_request, { signal }) => {
        entered.resolve(signal);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        return {};
      },
      list: async function* () {
        const info = [{ name: "n".repeat(1 << 20) }];
        try {
          for (;;) yield await Promise.resolve({ info });
        } finally {
          ended.resolve("ended");
        }
      },
    }),
  );
  const request = { ":method": "POST", "content-type": "application/grpc" };
  const waiting = session.request({ ...request, ":path": STAT });
  waiting.on("error", () => undefined).end(Uint8Array.from(EMPTY));
  const signal = await entered.promise;
  assert.equal(signal.aborted, false);
  waiting.close(constants.NGHTTP2_CANCEL);
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  // It never reads: the server waits for room.
  const endless = session.request({ ...request, ":path": LIST });
  endless.on("error", () => undefined).end(Uint8Array.from(EMPTY));
  await new Promise((resolve) => endless.once("response", resolve));
  endless.close(constants.NGHTTP2_CANCEL);
  assert.equal(await ended.promise, "ended");
});
