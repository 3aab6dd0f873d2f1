// The snapshots service over a real socket, as clients use it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/async/index.ts";
import { createClient, createUnixTransport, serveGrpc, Snapshots } from "../../src/grpc/index.ts";
import { readOverlaySettings, routeSnapshots, Snapshotter } from "../../src/snapshotter/index.ts";
import { describeSnapshotter } from "./snapshotter-conformance.ts";

describeSnapshotter("esgz", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "esgz-snapshotter-"));
  const snapshotter = await Snapshotter.open({
    root: join(folder, "root"),
    clock: systemClock,
    overlaySettings: await readOverlaySettings(),
  });
  const path = join(folder, "snapshotter.sock");
  const server = await serveGrpc({
    routes: (router) => routeSnapshots(router, snapshotter),
    listen: { path },
  });
  const unix = createUnixTransport({ path });
  t.after(async () => {
    unix.close();
    await server.close();
    await snapshotter.close();
    await rm(folder, { recursive: true });
  });
  const client = createClient(Snapshots, unix.transport);
  return { client, snapshotter: "stargz", cleanup: () => client.cleanup({}) };
});
