/**
 * A server of views as a process of its own, as the child of a holder: `node view-server-process.ts OPTIONS`. It tells its
 * parent about connections, and "ready"; it is ended by a signal.
 */
import { once } from "node:events";
import { join } from "node:path";
import { systemClock } from "../../src/async/index.ts";
import { LayerViews, type AdoptedFuse, type ViewMethod } from "../../src/lazyfs/index.ts";
import { openStore } from "../../src/store/index.ts";
import { MemoryFetcher } from "./memory-fetcher.ts";
import { devicesOf, storeLayer, testImage, twoLayers, twoLayersMerged } from "./view-images.ts";

/** What a server is told. */
export interface ViewServerOptions {
  readonly root: string;
  readonly method: ViewMethod;
  readonly writable: boolean;
  readonly adopted: readonly AdoptedFuse[];
}

/** What a server tells. */
export type ViewServerMessage =
  | { readonly kind: "adopt"; readonly fuse: AdoptedFuse }
  | { readonly kind: "disown"; readonly id: string }
  | { readonly kind: "ready"; readonly kept: readonly string[] };

const options = JSON.parse(process.argv[2] ?? "{}") as ViewServerOptions;
const tell = (message: ViewServerMessage): void => void process.send?.(message);

const layers = twoLayers();
const store = await openStore(join(options.root, "store"), { clock: systemClock, pid: process.pid });
const fetcher = new MemoryFetcher(devicesOf(layers));
fetcher.delayMs = 30;
const views = await LayerViews.open({
  store,
  fetcher,
  directory: store.root,
  clock: systemClock,
  rootless: false,
  adopted: options.adopted,
  keeper: {
    async adopt({ id, fd, negotiated, target }) {
      const answered = once(process, "message");
      tell({ kind: "adopt", fuse: { id, fd, negotiated, target } });
      await answered;
    },
    disown: (id) => Promise.resolve(tell({ kind: "disown", id })),
  },
});
const { kept } = await views.restore();
if (views.mounts().length === 0) {
  const handles = await Promise.all(layers.map((layer) => storeLayer(store, layer)));
  const image = await testImage(options.root, { handles, merged: twoLayersMerged() });
  const { method, writable } = options;
  await views.mountImage(image, { directory: join(options.root, "target"), id: "held", method, writable });
}
tell({ kind: "ready", kept });
// Ended by the holder only.
setInterval(() => undefined, 60_000);
