import assert from "node:assert/strict";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { closeListeningSocket } from "./listening-socket.ts";
import { loadNativeCalls } from "./native-calls.ts";
import { openDaemonSockets } from "./open-daemon-sockets.ts";

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-sockets-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

test("a daemon takes no socket that another one serves, and leaves it as it is", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "run", "snapshots.sock");
  const sockets = [{ name: "snapshots", path }];
  const first = openDaemonSockets({ settings: { store: join(folder, "one"), sockets } });
  const second = { settings: { store: join(folder, "two"), sockets } };
  await symlink(path, join(folder, "link.sock"));
  for (const place of [path, join(folder, "link.sock")]) {
    const settings = { store: join(folder, "two"), sockets: [{ name: "snapshots", path: place }] };
    assert.throws(() => openDaemonSockets({ settings }), {
      code: "ALREADY_EXISTS",
      message: `Cannot listen on "${place}": expected a free path, got a running server`,
    });
  }
  assert.ok(loadNativeCalls().connect(path) >= 0);
  for (const socket of first) closeListeningSocket(socket);
  for (const socket of openDaemonSockets(second)) closeListeningSocket(socket);
});

test("a daemon takes a socket that a dead one left", async (t) => {
  const folder = await temporaryFolder(t);
  const sockets = [{ name: "snapshots", path: join(folder, "snapshots.sock") }];
  const settings = { store: folder, sockets };
  const dead = openDaemonSockets({ settings });
  // As the kernel does when a process is killed: the files stay.
  for (const { fd, name, path } of dead) closeListeningSocket({ fd, name, path });
  const [control, snapshots] = openDaemonSockets({ settings });
  assert.ok(control !== undefined && snapshots !== undefined);
  assert.ok(loadNativeCalls().connect(snapshots.path) >= 0);
  closeListeningSocket(control);
  closeListeningSocket(snapshots);
});
