import assert from "node:assert/strict";
import { test } from "node:test";
import { HolderChannel } from "./holder-channel.ts";

test("HolderChannel refuses to hand over a session when its holder is gone, rather than to wait for an answer", async () => {
  // Nobody has started this process with a channel: it is as if there was one before.
  assert.notEqual(process.connected, true);
  const channel = new HolderChannel();
  const negotiated = { minor: 31, flags: [], maxRead: 4096, maxWrite: 4096 };
  const session = { id: "mount", fd: 3, negotiated, target: "/mnt" };
  await assert.rejects(channel.adopt(session), { code: "MOUNT_FAILED" });
  assert.deepEqual(channel.sessions, []);
});
