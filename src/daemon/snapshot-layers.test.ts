import assert from "node:assert/strict";
import { test } from "node:test";
import type { Digest } from "../oci/index.ts";
import { SnapshotLayers, type SnapshotLayersOptions } from "./snapshot-layers.ts";

/** Longer than rooms of removed snapshots are left alone. */
const LATER_MS = 10_000;

/** Lets all go on that waits for nothing but its turn. */
async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("SnapshotLayers mounts a layer by the table of contents that is wanted, and by no other", async (t) => {
  const asked: unknown[] = [];
  const store = {
    openLayer: (_: Digest, options: unknown) => {
      asked.push(options);
      return Promise.resolve(undefined);
    },
  };
  const services = { store, clients: {}, preparation: {}, views: { mounts: () => [] }, config: {} };
  const layers = new SnapshotLayers({ services } as unknown as SnapshotLayersOptions);
  t.after(() => layers[Symbol.asyncDispose]());
  const [digest, tocDigest] = ["1", "2"].map((digit): Digest => `sha256:${digit.repeat(64)}`);
  assert.ok(digest !== undefined);
  const mounting = layers.mount(digest, { directory: "/", id: "snapshot-1", tocDigest });
  await assert.rejects(mounting, { code: "STORE_INVALID" });
  assert.deepEqual(asked, [{ tocDigest }]);
});

test("SnapshotLayers ends when it prunes no more, also where another prune was to follow", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const pruned = Promise.withResolvers<void>();
  let prunes = 0;
  const stored = {
    // Only one at a time has the store; others wait, until they are not wanted any more.
    pruneLayers: async ({ signal }: { readonly signal: AbortSignal }) => {
      prunes += 1;
      if (prunes === 1) return await pruned.promise;
      signal.throwIfAborted();
      return await new Promise((_, reject) => signal.addEventListener("abort", reject));
    },
  };
  const standing = ["a", "b"].map((id) => ({ id, directory: `/${id}` }));
  const services = { store: {}, clients: {}, preparation: {}, views: { mounts: () => standing } };
  const mounts = { unmount: () => Promise.resolve() };
  const options = { services, mounts, stored } as unknown as SnapshotLayersOptions;
  const layers = new SnapshotLayers(options);
  for (const { directory } of standing) {
    await layers.unmount(directory);
    t.mock.timers.tick(LATER_MS);
    await turn();
  }
  let hasEnded = false;
  const ended = layers[Symbol.asyncDispose]().then(() => (hasEnded = true));
  await turn();
  assert.equal(hasEnded, false);
  pruned.resolve();
  await ended;
});
