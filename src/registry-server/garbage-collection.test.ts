import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import { encodeUtf8 } from "../bytes/index.ts";
import { Catalog } from "./catalog.ts";
import { digestOf } from "./digest-of.ts";
import { collectGarbage } from "./garbage-collection.ts";
import { MemoryStorage } from "./memory-storage.ts";
import type { RegistryStorage } from "./registry-storage.ts";
import { UploadSessions } from "./upload-sessions.ts";

const BYTES = encodeUtf8("blob");
const DIGEST = digestOf(BYTES);

/** Runs something when the sweep of content begins, which is when the marking is over. */
class InterruptedStorage extends MemoryStorage {
  interrupt: (() => Promise<void>) | undefined;

  override async *listContent(): ReturnType<RegistryStorage["listContent"]> {
    await this.interrupt?.();
    yield* super.listContent();
  }
}

async function collectWith(interrupt: (catalog: Catalog) => Promise<void>): Promise<boolean> {
  const clock = systemClock;
  const storage = new InterruptedStorage({ clock });
  const catalog = new Catalog(storage);
  const limits = { maxUploads: 1, maxBlobBytes: 1, uploadExpiryMs: 0 };
  const uploads = new UploadSessions({ catalog, clock, limits, createId: () => "" });
  await storage.writeContent(DIGEST, BYTES);
  storage.interrupt = () => interrupt(catalog);
  await collectGarbage({ catalog, uploads, clock }, { graceMs: 0 });
  return (await storage.statContent(DIGEST)) !== undefined;
}

test("collectGarbage() deletes content that no repository links", async () => {
  assert.equal(await collectWith(() => Promise.resolve()), false);
});

test("collectGarbage() leaves what was linked after the marking", async () => {
  assert.equal(await collectWith((catalog) => catalog.linkBlob("late", DIGEST)), true);
});

test("collectGarbage() leaves what was asked for after the marking", async () => {
  assert.equal(await collectWith(async (catalog) => void (await catalog.statBlob("late", DIGEST))), true);
});
