import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { startLink } from "./link.ts";

const PAYLOAD = Uint8Array.from({ length: 3_000_000 }, (_, at) => (at * 7 + (at >> 8)) & 255);
const DIGEST = createHash("sha256").update(PAYLOAD).digest("hex");

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
  assert.equal(await digestThrough(link.port), DIGEST);
  server.close();
  assert.deepEqual(link.statistics(), { connections: 1, bytesDown: PAYLOAD.length, bytesUp: 0 });
});

test("setShaped() lets bytes pass in order that would take days", async () => {
  const server = createServer((socket) => socket.end(PAYLOAD)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await using link = await startLink(port, { name: "test", rttMs: 0, bitsPerSecond: 1 });
  link.setShaped(false);
  assert.equal(await digestThrough(link.port), DIGEST);
  server.close();
});

async function digestThrough(port: number): Promise<string> {
  const { connect } = await import("node:net");
  const hash = createHash("sha256");
  for await (const chunk of connect(port, "127.0.0.1")) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}
