import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { EsgzError } from "../errors/index.ts";
import { ControlServer } from "./control-server.ts";
import { DaemonClient } from "./daemon-client.ts";
import { closeListeningSocket, openListeningSocket } from "./listening-socket.ts";

async function temporarySocket(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "daemon-client-"));
  t.after(() => rm(directory, { recursive: true }));
  return join(directory, "control.sock");
}

/** Listens once, treats the first connection as told, and is gone then. */
async function listenOnce(path: string, treat: (socket: Socket) => void): Promise<void> {
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    server.close();
    treat(socket);
  });
  server.listen(path);
  await once(server, "listening");
}

/** A control server that counts what it is asked to do. */
async function serveCounting(t: TestContext, path: string): Promise<{ readonly bodies: unknown[] }> {
  const bodies: unknown[] = [];
  const server: ControlServer = new ControlServer({
    routes: [
      {
        method: "POST",
        path: "/v1/prune",
        answer: "json",
        handle: ({ body }) => {
          bodies.push(body);
          return Promise.resolve({ freedBytes: 7 });
        },
      },
    ],
    onFailure: () => undefined,
  });
  const socket = openListeningSocket("control", path);
  t.after(() => closeListeningSocket(socket));
  await server.listen({ fd: socket.fd });
  t.after(() =>
    server.close({ graceMs: 0, reason: new EsgzError("ABORTED", "Cannot go on: the test ended") }),
  );
  return { bodies };
}

describe("DaemonClient", () => {
  test("starts a daemon for a request that one that ends has not accepted", async (t) => {
    const path = await temporarySocket(t);
    await listenOnce(path, (socket) => socket.destroy());
    let served: { readonly bodies: unknown[] } | undefined;
    const revive = async (): Promise<void> => {
      served = await serveCounting(t, path);
    };
    await using client = new DaemonClient(path, { revive });
    assert.deepEqual(await client.prune({ all: true } as object), { freedBytes: 7 });
    assert.deepEqual(served?.bodies, [{ all: true }]);
  });

  test("does not send again what was accepted, for it may have been done", async (t) => {
    const path = await temporarySocket(t);
    await listenOnce(path, (socket) => {
      // It has read the request, and goes away in the middle of it.
      socket.once("data", () => socket.write("HTTP/1.1 100 Continue\r\n\r\n", () => socket.destroy()));
      socket.resume();
    });
    const revive = (): Promise<void> => assert.fail("nobody is to be started");
    await using client = new DaemonClient(path, { revive });
    await assert.rejects(client.prune({}), { code: "DAEMON_UNAVAILABLE" });
  });

  test("has the next server go on with a pull that was begun", async (t) => {
    const path = await temporarySocket(t);
    const asked: string[] = [];
    const server = createHttpServer().on("checkContinue", (request, response) => {
      asked.push(request.url ?? "");
      response.writeContinue();
      // The first one is killed in the middle of its answer.
      if (asked.length === 1) response.write("{}", () => request.socket.destroy());
      else response.end(`${JSON.stringify({ result: { name: "image" } })}\n`);
    });
    t.after(() => server.close());
    await once(server.listen(path), "listening");
    await using client = new DaemonClient(path);
    const result = await client.pull({ reference: "image" });
    assert.equal(result.name, "image");
    assert.deepEqual(asked, ["/v1/pull", "/v1/pull"]);
  });

  test("gives up a mount in the middle of which each server ends, and says so", async (t) => {
    const path = await temporarySocket(t);
    const ids = new Set<unknown>();
    let asked = 0;
    const server = createHttpServer().on("checkContinue", (request, response) => {
      asked += 1;
      response.writeContinue();
      request.once("data", (body) => {
        ids.add((JSON.parse(String(body)) as { id: unknown }).id);
        request.socket.destroy();
      });
    });
    t.after(() => server.close());
    await once(server.listen(path), "listening");
    await using client = new DaemonClient(path);
    await assert.rejects(client.mount({ reference: "image" }), {
      code: "DAEMON_UNAVAILABLE",
      message:
        "Cannot talk to the daemon: expected an answer, got 5 servers in a row that ended before it; the daemon's log may say why",
    });
    assert.equal(asked, 5);
    assert.equal(ids.size, 1);
  });

  test("says that nobody answers where none is to be started", async (t) => {
    await using client = new DaemonClient(await temporarySocket(t));
    await assert.rejects(client.prune({}), { code: "DAEMON_UNAVAILABLE" });
  });
});
