/**
 * Shows the test image without privileges: `node view-rootless-process.ts ROOT`. Says as JSON how it was mounted, what another
 * process of this user saw of it, and what was left afterwards.
 */
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { systemClock } from "../../src/async/index.ts";
import { listMountsBelow } from "../../src/erofs-mount/index.ts";
import { isEsgzError } from "../../src/errors/index.ts";
import { LayerViews } from "../../src/lazyfs/index.ts";
import { openStore } from "../../src/store/index.ts";
import { MemoryFetcher } from "./memory-fetcher.ts";
import { devicesOf, storeLayer, testImage, twoLayers, twoLayersMerged } from "./view-images.ts";
import { describeElsewhere } from "./view-setup.ts";

const [, , root = ""] = process.argv;
const layers = twoLayers();
await using store = await openStore(join(root, "store"), { clock: systemClock, pid: process.pid });
const fetcher = new MemoryFetcher(devicesOf(layers));
await using views = await LayerViews.open({
  store,
  fetcher,
  directory: store.root,
  clock: systemClock,
  rootless: true,
});
const handles = await Promise.all(layers.map((layer) => storeLayer(store, layer)));
const image = await testImage(root, { handles, merged: twoLayersMerged() });
const target = join(root, "target");
await mkdir(target);
// Its connection is made first, by whatever way there is, and has to go with the views.
const isRefused = await views
  .mountImage(image, { directory: target, id: "refused", method: "erofs-file" })
  .then(() => false)
  .catch((error: unknown) => isEsgzError(error, "MOUNT_FAILED"));
const { method } = await views.mountImage(image, { directory: target, id: "plain" });
const seen = await describeElsewhere(target);
await views.unmount("plain");
const written = await views.mountImage(image, { directory: target, id: "written", writable: true });
if (written.overlay !== undefined) {
  // As the kernel leaves its own directory, and a program one of its own.
  for (const closed of [join(written.overlay.work, "work"), join(written.overlay.upper, "closed")]) {
    await mkdir(join(closed, "below"), { recursive: true });
    await chmod(closed, 0);
  }
}
let names: string[] = [];
if (written.overlay === undefined) {
  const { stdout } = await promisify(execFile)("sh", ["-c", `cd ${target} && echo 1 > new && rm kept && ls`]);
  names = stdout.trim().split("\n");
}
await views.unmount("written");
for (const handle of handles) await handle.close();
await views[Symbol.asyncDispose]();
const mounts = (await listMountsBelow(root)).filter(({ mountPoint }) => mountPoint !== join(root, "device"));
const left = [
  ...mounts.map(({ mountPoint }) => mountPoint),
  ...(await readdir(target)),
  ...(await readdir(join(root, "store/mounts"))),
];
process.stdout.write(JSON.stringify({ method, isRefused, overlay: written.overlay, seen, names, left }));
