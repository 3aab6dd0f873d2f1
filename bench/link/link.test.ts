import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { startLink } from "./link.ts";

const PAYLOAD = Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 7 + (at >> 8)) & 255);

test("startLink() carries every byte in order and counts it, whatever the profile", async () => {
  const server = createServer((socket) => socket.end(PAYLOAD)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using link = await startLink(port, {
    name: "test",
    rttMs: 4,
    bitsPerSecond: 1e9,
    bitsPerSecondPerConnection: 5e8,
  });
  const { connect } = await import("node:net");
  const hash = createHash("sha256");
  for await (const chunk of connect(link.port, "127.0.0.1")) hash.update(chunk as Uint8Array);
  server.close();
  assert.equal(hash.digest("hex"), createHash("sha256").update(PAYLOAD).digest("hex"));
  assert.deepEqual(link.statistics(), { connections: 1, bytesDown: PAYLOAD.length, bytesUp: 0 });
});
