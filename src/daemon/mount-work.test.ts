import assert from "node:assert/strict";
import { test } from "node:test";
import type { ImageWork } from "./image-work.ts";
import { MountWork } from "./mount-work.ts";
import type { Services } from "./services.ts";

test("MountWork gives back the layers of a mount that is ended before they are open", async (t) => {
  const using = Promise.withResolvers<unknown>();
  const isGivenBack = Promise.withResolvers<void>();
  const standing = [{ id: "first", directory: "/mnt", layers: [] }];
  const services = {
    store: { leases: () => [], removeLease: () => undefined },
    start: { settings: { store: "/store" } },
    uses: { use: () => using.promise },
    views: {
      mounts: () => [...standing],
      unmount: () => Promise.resolve(standing.splice(0)),
    },
  };
  const work = new MountWork(services as unknown as Services, {} as ImageWork);
  t.after(() => work[Symbol.asyncDispose]());
  const resumed = work.resume({ failed: [] });
  await work.unmount("first", { lazy: true });
  const giveBack = (): Promise<void> => Promise.resolve(isGivenBack.resolve());
  using.resolve({ layers: [], [Symbol.asyncDispose]: giveBack });
  await resumed;
  await isGivenBack.promise;
  assert.deepEqual(standing, []);
});

test("MountWork lets go of the layers of a mount that is gone, also where that cannot be noted", async (t) => {
  const standing = [{ id: "first", directory: "/mnt", layers: [] }];
  const cannotNote = new Error("no room");
  let letGo = 0;
  let fill: AbortSignal | undefined;
  const services = {
    store: {
      leases: () => [{ id: "mount-extra:first", kind: "mount-extra", detail: '{"background":true}' }],
      removeLease: () => {
        throw cannotNote;
      },
    },
    start: { settings: { store: "/store" } },
    uses: { use: () => Promise.resolve({ layers: [], letGo: () => (letGo += 1) }) },
    views: {
      mounts: () => [...standing],
      unmount: () => Promise.resolve(standing.splice(0)),
    },
  };
  const images = {
    fillInBackground: (_: unknown, signal: AbortSignal) => {
      fill = signal;
      return Promise.resolve();
    },
  };
  const work = new MountWork(services as unknown as Services, images as unknown as ImageWork);
  t.after(() => work[Symbol.asyncDispose]());
  await work.resume({ failed: [] });
  assert.equal(fill?.aborted, false);
  await assert.rejects(work.unmount("first", { lazy: true }), cannotNote);
  assert.deepEqual([letGo, fill.aborted], [1, true]);
});
