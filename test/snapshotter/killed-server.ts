/**
 * A snapshotter as a process of its own, to be killed: `node killed-server.ts ROOT SOCKET LAYERS`.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/async/index.ts";
import { serveGrpc } from "../../src/grpc/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import { routeSnapshots, Snapshotter } from "../../src/snapshotter/index.ts";
import { DirectoryLayers } from "./directory-layers.ts";

const [root = "", path = "", folder = ""] = process.argv.slice(2);
const remote = new DirectoryLayers();
for (const name of readdirSync(folder))
  remote.directories.set(`sha256:${name}` as Digest, join(folder, name));
const snapshotter = await Snapshotter.open({ root, clock: systemClock, remote });
await serveGrpc({ routes: (router) => routeSnapshots(router, snapshotter), listen: { path } });
process.stdout.write("ready\n");
