import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import {
  createUnixTransport,
  type GrpcRouter,
  ImageService,
  namespaceOf,
  serveGrpc,
  Snapshots,
} from "./index.ts";

async function socketIn(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-grpc-"));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, "below", "test.sock");
}

/** Answers with what it was asked; some keys are special. */
function routes(router: GrpcRouter): void {
  router.service(Snapshots, {
    stat: ({ key }, { requestHeader }) => {
      if (key === "absent") throw new EsgzError("SNAPSHOT_NOT_FOUND", `Cannot find snapshot "${key}"`);
      if (key === "broken") throw new TypeError("a defect");
      return { info: { name: key, labels: { namespace: namespaceOf(requestHeader) ?? "none" } } };
    },
    list: async function* ({ filters }) {
      for (const name of filters) {
        if (name === "stop") throw new EsgzError("PRECONDITION_FAILED", "Cannot go on");
        yield { info: [{ name }] };
      }
    },
  });
}

test("a client on a unix socket gets answers, and its metadata arrives", async (t) => {
  const path = await socketIn(t);
  await using _server = await serveGrpc({ routes, listen: { path } });
  using unix = createUnixTransport({ path, metadata: { "containerd-namespace": "k8s.io" } });
  const client = createClient(Snapshots, unix.transport);
  const { info } = await client.stat({ key: "one" });
  assert.equal(info?.name, "one");
  assert.deepEqual(info?.labels, { namespace: "k8s.io" });
  const names: string[] = [];
  for await (const { info: infos } of client.list({ filters: ["a", "b"] }))
    names.push(...infos.map((i) => i.name));
  assert.deepEqual(names, ["a", "b"]);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test("errors of esgz become their gRPC status, in streams too; others are internal", async (t) => {
  const path = await socketIn(t);
  await using _server = await serveGrpc({ routes, listen: { path } });
  using unix = createUnixTransport({ path });
  const client = createClient(Snapshots, unix.transport);
  await assert.rejects(client.stat({ key: "absent" }), (error) => {
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.NotFound);
    assert.match(error.rawMessage, /^Cannot find snapshot "absent"$/);
    return true;
  });
  await assert.rejects(client.stat({ key: "broken" }), { code: Code.Internal });
  await assert.rejects(client.usage({ key: "not served" }), { code: Code.Unimplemented });
  await assert.rejects(
    async () => {
      for await (const _message of client.list({ filters: ["a", "stop"] }));
    },
    { code: Code.FailedPrecondition },
  );
  const other = createClient(ImageService, unix.transport);
  await assert.rejects(other.listImages({}), { code: Code.Unimplemented });
});

test("errors that repeat a long name have their status, and the beginning of their message", async (t) => {
  const path = await socketIn(t);
  await using _server = await serveGrpc({
    routes: (router) =>
      router.service(Snapshots, {
        stat: ({ key }) => {
          throw new EsgzError("SNAPSHOT_NOT_FOUND", `Cannot find snapshot "${key}"`);
        },
      }),
    listen: { path },
  });
  using unix = createUnixTransport({ path });
  const client = createClient(Snapshots, unix.transport);
  for (const key of ["k".repeat(100_000), "\u{1f4e6}".repeat(1_000_000)]) {
    await assert.rejects(client.stat({ key }), (error: unknown) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.NotFound, error.message);
      assert.match(error.rawMessage, /^Cannot find snapshot "(k+|\u{1f4e6}+) \.\.\.$/u);
      return error.rawMessage.length < 3000;
    });
  }
});

test("messages of 15 MiB pass, of more than 16 MiB do not", async (t) => {
  const path = await socketIn(t);
  await using _server = await serveGrpc({ routes, listen: { path } });
  using unix = createUnixTransport({ path });
  const client = createClient(Snapshots, unix.transport);
  const key = "k".repeat(15 << 20);
  assert.equal((await client.stat({ key })).info?.name.length, 15 << 20);
  await assert.rejects(client.stat({ key: "k".repeat((16 << 20) + 1) }), { code: Code.ResourceExhausted });
});

test("a socket file that nobody listens on is replaced, any other is left", async (t) => {
  const path = await socketIn(t);
  const first = await serveGrpc({ routes, listen: { path } });
  await assert.rejects(serveGrpc({ routes, listen: { path } }), (error) =>
    isEsgzError(error, "ALREADY_EXISTS"),
  );
  await first.close();
  await first.close();
  // A file is no socket.
  await writeFile(path, "important");
  await assert.rejects(serveGrpc({ routes, listen: { path } }), /expected a free path, got another file/);
  const nowhere = { path: "/proc/esgz-nothing/below/test.sock" };
  await assert.rejects(serveGrpc({ routes, listen: nowhere }), { code: "IO_FAILED" });
  await assert.rejects(
    serveGrpc({ routes, listen: { path: `${path}${"x".repeat(120)}` } }),
    /at most 107 bytes/,
  );
});

test("a server that listens already can be given, and a second connection after the first was lost", async (t) => {
  const path = await socketIn(t);
  await using first = await serveGrpc({ routes, listen: { path } });
  using unix = createUnixTransport({ path });
  const client = createClient(Snapshots, unix.transport);
  assert.equal((await client.stat({ key: "before" })).info?.name, "before");
  await first.close();
  assert.equal(first.connections, 0);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  await using _second = await serveGrpc({ routes, listen: { server } });
  assert.equal((await client.stat({ key: "after" })).info?.name, "after");
});

test("a call is unavailable whose server is not there, hangs up, or ends before its answer", async (t) => {
  const path = await socketIn(t);
  using unix = createUnixTransport({ path });
  const client = createClient(Snapshots, unix.transport);
  await assert.rejects(client.stat({ key: "early" }), { code: Code.Unavailable });
  const entered = Promise.withResolvers<void>();
  const silent = (router: GrpcRouter): void => {
    router.service(Snapshots, {
      usage: async () => {
        entered.resolve();
        return await new Promise(() => undefined);
      },
      remove: () => {
        throw new ConnectError("the server gave up", Code.Canceled);
      },
    });
  };
  const server = await serveGrpc({ routes: silent, listen: { path } });
  const cut = assert.rejects(client.usage({ key: "cut off" }), { code: Code.Unavailable });
  await entered.promise;
  await assert.rejects(client.remove({ key: "answered" }), { code: Code.Canceled });
  await server.close({ signal: AbortSignal.abort() });
  await cut;
  const hangsUp = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => hangsUp.listen(path, resolve));
  t.after(() => hangsUp.close());
  await assert.rejects(client.stat({ key: "hung up" }), { code: Code.Unavailable });
  const stopped = client.stat({ key: "stopped" }, { signal: AbortSignal.abort() });
  await assert.rejects(stopped, { code: Code.Canceled });
});

test("close() lets a call under way end, and cuts it off when its signal fires", async (t) => {
  const path = await socketIn(t);
  const entered = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const slow = (router: GrpcRouter): void => {
    router.service(Snapshots, {
      usage: async ({ key }) => {
        entered.resolve();
        if (key === "slow") await go.promise;
        else await new Promise(() => undefined);
        return { size: 7n };
      },
    });
  };
  {
    const server = await serveGrpc({ routes: slow, listen: { path } });
    using unix = createUnixTransport({ path });
    const call = createClient(Snapshots, unix.transport).usage({ key: "slow" });
    await entered.promise;
    const closed = server.close();
    go.resolve();
    assert.equal((await call).size, 7n);
    await closed;
  }
  const server = await serveGrpc({ routes: slow, listen: { path } });
  using unix = createUnixTransport({ path });
  const call = assert.rejects(createClient(Snapshots, unix.transport).usage({ key: "endless" }));
  const warm = createClient(Snapshots, unix.transport);
  await assert.rejects(warm.stat({ key: "x" }), { code: Code.Unimplemented });
  await server.close({ signal: AbortSignal.abort() });
  await call;
});
