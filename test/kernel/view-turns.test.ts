/**
 * Views of which several things are asked at once.
 */
import assert from "node:assert/strict";
import { mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { listMountsBelow } from "../../src/erofs-mount/index.ts";
import { mountFuse, beginSession } from "../../src/fuse/index.ts";
import { HeldLayers } from "../../src/lazyfs/held-layers.ts";
import type { FuseKeeper } from "../../src/lazyfs/index.ts";
import { LayerFilesServer } from "../../src/lazyfs/layer-files-server.ts";
import { missingFuse } from "./fuse-mounts.ts";
import { setUpViews, type ViewSetup } from "./view-setup.ts";

const MISSING = missingFuse();
const OPTIONS = { timeout: 60_000, skip: MISSING ?? false };

/** A keeper that keeps nothing, and takes its time. */
class SlowKeeper implements FuseKeeper {
  readonly asked: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly answer: PromiseWithResolvers<void> = Promise.withResolvers();

  async adopt(): Promise<void> {
    this.asked.resolve();
    await this.answer.promise;
  }

  async disown(): Promise<void> {}
}

async function assertNothingLeft({ root, store, views }: ViewSetup): Promise<void> {
  assert.deepEqual([views.mounts(), store.leases()], [[], []]);
  assert.deepEqual(await listMountsBelow(root), []);
  assert.deepEqual(await readdir(join(store.root, "mounts")), []);
}

test("a mount that is taken away while it is being made leaves nothing", OPTIONS, async (t) => {
  const keeper = new SlowKeeper();
  const setup = await setUpViews(t, { keeper });
  const { views, image, target } = setup;
  const mounting = views.mountImage(image, { directory: target, id: "early", method: "tree" });
  await keeper.asked.promise;
  const unmounting = views.unmount("early");
  keeper.answer.resolve();
  assert.equal((await mounting).id, "early");
  await unmounting;
  await assertNothingLeft(setup);
});

test("a mount that is in use is taken away from those who want it gone in any case", OPTIONS, async (t) => {
  const setup = await setUpViews(t);
  const { views, image, target } = setup;
  await views.mountImage(image, { directory: target, id: "used", method: "tree" });
  const held = await open(target);
  t.after(() => held.close());
  const [wish, order] = await Promise.allSettled([
    views.unmount("used"),
    views.unmount("used", { lazy: true }),
  ]);
  assert.deepEqual([wish.status, order.status], ["rejected", "fulfilled"]);
  assert.deepEqual([views.mounts(), await listMountsBelow(setup.root)], [[], []]);
});

test("a mount that could not be made is not taken away from the next one of its name", OPTIONS, async (t) => {
  const keeper = new SlowKeeper();
  const setup = await setUpViews(t, { keeper });
  const { views, image, target } = setup;
  const mount = { directory: target, id: "again", method: "tree" } as const;
  const mounting = views.mountImage(image, mount);
  await keeper.asked.promise;
  const unmounting = views.unmount("again");
  const failed = assert.rejects(mounting, /no room/);
  const mountedAgain = failed.then(async () => await views.mountImage(image, mount));
  keeper.answer.reject(new Error("no room"));
  await failed;
  keeper.adopt = async () => undefined;
  await Promise.all([unmounting, mountedAgain]);
  assert.deepEqual(await readdir(target), ["again", "big", "both", "kept", "link", "linked", "replaced"]);
  assert.deepEqual(
    views.mounts().map(({ id }) => id),
    ["again"],
  );
  await views.unmount("again");
  await assertNothingLeft(setup);
});

test("views that are closed while they are warmed leave no mount", OPTIONS, async (t) => {
  const setup = await setUpViews(t);
  const { views } = setup;
  const { method } = await views.probe();
  if (method !== "erofs-file" && method !== "erofs-loop") return t.skip("no EROFS mounts here");
  const warming = assert.rejects(views.warm(), { code: "MOUNT_FAILED" });
  await views.close();
  await warming;
  await assertNothingLeft(setup);
});

test(
  "views that are closed while ways to mount are tried wait for these, which leave no mount",
  OPTIONS,
  async (t) => {
    const setup = await setUpViews(t);
    const { views } = setup;
    let isTried = false;
    const trying = views.probe().finally(() => (isTried = true));
    await views.close();
    assert.equal(isTried, true);
    await trying;
    await assertNothingLeft(setup);
  },
);

test("views that are closed while something is about to be mounted leave no mount", OPTIONS, async (t) => {
  const setup = await setUpViews(t);
  const { views, image, target } = setup;
  const mounting = views.mountImage(image, { directory: target, id: "late", method: "tree" });
  const refused = assert.rejects(mounting, { code: "ABORTED" });
  await views.close();
  await refused;
  await assertNothingLeft(setup);
});

test("a layer file that is let go of while its server ends is let go of once", OPTIONS, async (t) => {
  const { root, store, fetcher, handles } = await setUpViews(t);
  const [handle] = handles;
  assert.ok(handle);
  const { digest } = handle.layer;
  const directory = join(root, "files");
  await mkdir(directory);
  await using mount = await mountFuse(directory);
  const held = new HeldLayers(store, fetcher);
  const onReadFailed = (): void => undefined;
  const negotiated = beginSession(mount.fd);
  const server = await LayerFilesServer.start(mount.fd, {
    directory,
    held,
    fetcher,
    negotiated,
    layers: [digest, digest],
    onReadFailed,
  });
  await held.hold(digest);
  const released = server.closed.then(async () => await server.release(digest));
  await server.close();
  await released;
  assert.ok(held.get(digest));
  await held.release(digest);
  assert.equal(held.get(digest), undefined);
});
