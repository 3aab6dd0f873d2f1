import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { EsgzError } from "../errors/index.ts";
import { type ControlCall, type ControlRoute, ControlServer } from "./control-server.ts";
import { openListeningSocket } from "./listening-socket.ts";

const ENDED = new EsgzError("ABORTED", "Cannot go on: the test ended");

/** A server with one request, made by a client that leaves in the middle of it; it goes on until it is told to end. */
async function leaveInTheMiddle(
  t: TestContext,
  answer: ControlRoute["answer"],
): Promise<{ readonly server: ControlServer; readonly end: () => void }> {
  const directory = await mkdtemp(join(tmpdir(), "control-server-"));
  t.after(() => rm(directory, { recursive: true }));
  const begun = Promise.withResolvers<ControlCall>();
  const work = Promise.withResolvers<unknown>();
  const handle = async (call: ControlCall): Promise<unknown> => {
    begun.resolve(call);
    return await work.promise;
  };
  const server = new ControlServer({
    routes: [{ method: "GET", path: "/work", answer, handle }],
    onFailure: () => undefined,
  });
  const socket = openListeningSocket("control", join(directory, "control.sock"));
  await server.listen({ fd: socket.fd });
  const client = connect(socket.path);
  client.write("GET /work HTTP/1.1\r\nhost: esgz\r\n\r\n");
  const { signal } = await begun.promise;
  client.destroy();
  if (!signal.aborted) await once(signal, "abort");
  return { server, end: () => work.resolve({}) };
}

describe("ControlServer", () => {
  for (const answer of ["json", "events", "text"] as const) {
    test(`is done with a request for ${answer} whose client has left before its end`, async (t) => {
      const { server, end } = await leaveInTheMiddle(t, answer);
      t.after(() => server.close({ graceMs: 0, reason: ENDED }));
      const done = new Promise<void>((resolve) => {
        server.onActivity = resolve;
      });
      end();
      await done;
      assert.equal(server.active, 0);
    });
  }

  test("is closed when work whose client has left has ended as well", async (t) => {
    const { server, end } = await leaveInTheMiddle(t, "json");
    let isClosed = false;
    const closed = server.close({ graceMs: 0, reason: ENDED }).then(() => (isClosed = true));
    // All that its connections take to end.
    for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isClosed, false);
    end();
    await closed;
    assert.equal(server.active, 0);
  });
});
