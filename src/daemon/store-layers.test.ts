import assert from "node:assert/strict";
import { describe, test, type TestContext } from "node:test";
import { systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { StoreLayer } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import { StoreLayers, type StoreLayersOptions } from "./store-layers.ts";

/** Longer than a layer is kept that was let go of. */
const LATER_MS = 10_000;

/** Layers of a host that notes what is asked of it; what it takes away goes when it is told to. */
function openLayers(
  t: TestContext,
  records: readonly unknown[] = [],
): {
  readonly layers: StoreLayers;
  readonly asked: string[];
  readonly takenAway: PromiseWithResolvers<void>;
  readonly wait: () => void;
  /** What the store has each blob from. */
  readonly stored: Map<Digest, Digest | "damaged">;
} {
  const asked: string[] = [];
  const tocs = new Map<Digest, Digest | "damaged">();
  const takenAway = Promise.withResolvers<void>();
  const standing = new Map<string, { readonly id: string; readonly directory: string }>();
  const store = {
    leases: () => records.map((record) => ({ kind: "store-layer", detail: JSON.stringify(record) })),
    setLease: () => undefined,
    removeLease: () => undefined,
    openLayer: (blob: Digest, { tocDigest }: { readonly tocDigest?: Digest | "any" }) => {
      const found = tocs.get(blob);
      if (found === "damaged") return Promise.reject(new EsgzError("STORE_INVALID", "Cannot open layer"));
      const isAnother = tocDigest !== "any" && found !== tocDigest;
      return Promise.resolve(isAnother ? undefined : { [Symbol.asyncDispose]: () => Promise.resolve() });
    },
  };
  const clients = {
    accessOf: () => {
      throw new EsgzError("REGISTRY_UNAVAILABLE", "Cannot ask the registry");
    },
  };
  const mounts = {
    mountLayer: (_: unknown, mount: { readonly id: string; readonly directory: string }) => {
      asked.push(`mount ${nameOf(mount.id)}`);
      standing.set(mount.id, mount);
      return Promise.resolve();
    },
    unmount: async (id: string) => {
      asked.push(`unmount ${nameOf(id)}`);
      await takenAway.promise;
      standing.delete(id);
    },
  };
  const views = { mounts: () => [...standing.values()] };
  const services = { store, clients, views, config: { background: false }, log: { warn: () => undefined } };
  const stored = { pruneLayers: () => Promise.resolve() };
  const options = { services, mounts, stored, root: "/store" };
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let nowMs = 0;
  t.mock.method(systemClock, "nowMs", () => nowMs);
  const layers = new StoreLayers(options as unknown as StoreLayersOptions);
  t.after(() => layers[Symbol.asyncDispose]());
  const wait = (): void => {
    nowMs += LATER_MS;
    t.mock.timers.tick(LATER_MS);
  };
  return { layers, asked, takenAway, wait, stored: tocs };
}

function layerNamed(name: string): StoreLayer {
  const digest: Digest = `sha256:${name.repeat(64)}`;
  return {
    reference: "registry.example/app:1",
    digest,
    blob: digest,
    blobSize: 1,
    tocDigest: "whole",
    info: "",
  };
}

function nameOf(id: string): string {
  return id.slice(-1);
}

/** Lets all go on that waits for nothing but its turn. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("StoreLayers", () => {
  test("keeps a layer that is taken up while another one is let go of", async (t) => {
    const { layers, asked, takenAway, wait } = openLayers(t);
    const [first, second] = [layerNamed("a"), layerNamed("b")];
    for (const layer of [first, second]) {
      layers.useLayer(layer);
      layers.releaseLayer(layer);
    }
    wait();
    await turn();
    assert.deepEqual(asked, ["unmount a"]);
    layers.useLayer(second);
    takenAway.resolve();
    await turn();
    assert.deepEqual(asked, ["unmount a"]);
    assert.deepEqual([...layers.layers()], [second]);
  });

  test("shows a layer again that is asked for while it is being taken away", async (t) => {
    const { layers, asked, takenAway, wait } = openLayers(t);
    const layer = layerNamed("a");
    layers.useLayer(layer);
    const directory = await layers.showLayer(layer, {});
    layers.releaseLayer(layer);
    wait();
    await turn();
    const shown = layers.showLayer(layer, {});
    takenAway.resolve();
    assert.equal(await shown, directory);
    assert.deepEqual(asked, ["mount a", "unmount a", "mount a"]);
  });

  test("shows no layer by another table of contents than the one it was found with", async (t) => {
    const { layers, asked, stored } = openLayers(t);
    const found = { ...layerNamed("a"), tocDigest: layerNamed("c").blob };
    const planted = { ...found, reference: "registry.example/other:1", tocDigest: layerNamed("d").blob };
    stored.set(found.blob, planted.tocDigest);
    await assert.rejects(layers.showLayer(found, {}), { code: "REGISTRY_UNAVAILABLE" });
    stored.set(found.blob, found.tocDigest);
    await layers.showLayer(found, {});
    await assert.rejects(layers.showLayer(planted, {}), { code: "REGISTRY_UNAVAILABLE" });
    assert.deepEqual(asked, ["mount a"]);
  });

  test("goes on to show a layer whose files were damaged since, and asks for it where it is not shown", async (t) => {
    const { layers, asked, stored } = openLayers(t);
    const [shown, other] = [layerNamed("a"), layerNamed("b")];
    const directory = await layers.showLayer(shown, {});
    for (const { blob } of [shown, other]) stored.set(blob, "damaged");
    assert.equal(await layers.showLayer(shown, {}), directory);
    await assert.rejects(layers.showLayer(other, {}), { code: "REGISTRY_UNAVAILABLE" });
    assert.deepEqual(asked, ["mount a"]);
  });

  test("shows what was in use when no table of contents was noted yet, and looks for the rest once more", async (t) => {
    const { tocDigest: _, ...old } = layerNamed("a");
    const byToc = { ...old, digest: layerNamed("d").blob };
    const { layers, asked, stored } = openLayers(t, [
      { layer: old, uses: 1 },
      { layer: byToc, uses: 0 },
      { layer: { ...old, reference: "registry.example/idle:1" }, uses: 0 },
    ]);
    stored.set(old.blob, layerNamed("c").blob);
    const [used, asToc, idle] = [...layers.layers()];
    assert.ok(used !== undefined && asToc !== undefined && idle !== undefined);
    assert.equal(asToc.tocDigest, byToc.digest);
    for (const layer of [asToc, idle])
      await assert.rejects(layers.showLayer(layer, {}), { code: "REGISTRY_UNAVAILABLE" });
    assert.deepEqual(asked, []);
    await layers.showLayer(used, {});
    assert.deepEqual(asked, ["mount a"]);
  });
});
