// One suite for every storage: what holds for one holds for all.
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import type { Digest } from "../oci/index.ts";
import { digestOf } from "./digest-of.ts";
import { openDirectoryStorage } from "./directory-storage.ts";
import { MemoryStorage } from "./memory-storage.ts";
import type { RegistryStorage } from "./registry-storage.ts";

const UPLOAD = { repository: "team/app", id: "0123abcd-0000-4000-8000-00000000abcd" };
const SUBJECT: Digest = `sha256:${"a".repeat(64)}`;
const TAGS = { repository: "team/app", kind: "tags" } as const;

interface Opened extends AsyncDisposable {
  readonly storage: RegistryStorage;
  readonly clock: StandingClock;
}

async function openMemory(): Promise<Opened> {
  const clock = new StandingClock();
  return { storage: new MemoryStorage({ clock }), clock, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function openDirectory(): Promise<Opened> {
  const clock = new StandingClock();
  const root = await mkdtemp(join(tmpdir(), "esgz-storage-"));
  return {
    storage: await openDirectoryStorage(root, { clock }),
    clock,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  };
}

for (const [name, open] of Object.entries({ MemoryStorage: openMemory, DirectoryStorage: openDirectory })) {
  void describe(name, () => {
    test("keeps content by its digest", async () => {
      await using opened = await open();
      const { storage } = opened;
      const bytes = encodeUtf8("hello");
      const digest = digestOf(bytes);
      assert.equal(await storage.statContent(digest), undefined);
      assert.equal(await storage.openContent(digest), undefined);
      await storage.writeContent(digest, bytes);
      assert.equal((await storage.statContent(digest))?.size, 5);
      assert.equal(await readText(storage, digest), "hello");
      assert.deepEqual(
        (await collect(storage.listContent())).map((one) => one.digest),
        [digest],
      );
      await storage.deleteContent(digest);
      await storage.deleteContent(digest);
      assert.equal(await storage.statContent(digest), undefined);
    });

    test("reads any part of content", async () => {
      await using opened = await open();
      const { storage } = opened;
      await storage.createUpload(UPLOAD);
      await append(storage, ["abc", "", "defg", "h"]);
      const digest = digestOf(encodeUtf8("abcdefgh"));
      await storage.commitUpload(UPLOAD, digest);
      await using reader = await storage.openContent(digest);
      assert.ok(reader !== undefined);
      for (const [offset, size, expected] of [
        [0, 8, "abcdefgh"],
        [2, 3, "cde"],
        [3, 4, "defg"],
        [7, 5, "h"],
        [8, 5, ""],
        [99, 5, ""],
      ] as const) {
        const target = new Uint8Array(size);
        const count = await reader.read(target, offset);
        assert.equal(decodeUtf8(target.subarray(0, count)), expected);
      }
    });

    test("open content outlives its deletion", async () => {
      await using opened = await open();
      const { storage } = opened;
      const digest = digestOf(encodeUtf8("x"));
      await storage.writeContent(digest, encodeUtf8("x"));
      await using reader = await storage.openContent(digest);
      await storage.deleteContent(digest);
      assert.equal(await reader?.read(new Uint8Array(1), 0), 1);
    });

    test("turns uploads into content", async () => {
      await using opened = await open();
      const { storage } = opened;
      assert.equal(await storage.openUpload(UPLOAD), undefined);
      await storage.createUpload(UPLOAD);
      await append(storage, ["one", "two"]);
      await append(storage, ["three"]);
      const [listed] = await collect(storage.listUploads());
      assert.deepEqual({ ...listed, changedMs: 0 }, { ...UPLOAD, size: 11, changedMs: 0 });
      const digest = digestOf(encodeUtf8("onetwothree"));
      await storage.commitUpload(UPLOAD, digest);
      assert.equal(await readText(storage, digest), "onetwothree");
      assert.equal(await storage.openUpload(UPLOAD), undefined);
      assert.equal(await storage.deleteUpload(UPLOAD), false);
    });

    test("cuts uploads back and drops them", async () => {
      await using opened = await open();
      const { storage } = opened;
      await storage.createUpload(UPLOAD);
      await append(storage, ["abc", "def"]);
      {
        await using writer = await storage.openUpload(UPLOAD);
        await writer?.truncate(4);
        await writer?.append([encodeUtf8("X")]);
        assert.equal(writer?.size, 5);
        const target = new Uint8Array(9);
        assert.equal(await writer?.read(target, 0), 5);
        assert.equal(decodeUtf8(target.subarray(0, 5)), "abcdX");
      }
      assert.equal(await storage.deleteUpload(UPLOAD), true);
      assert.deepEqual(await collect(storage.listUploads()), []);
    });

    test("an upload belongs to one repository", async () => {
      await using opened = await open();
      await opened.storage.createUpload(UPLOAD);
      const other = { ...UPLOAD, repository: "team" };
      assert.equal(await opened.storage.openUpload(other), undefined);
      assert.equal(await opened.storage.deleteUpload(other), false);
    });

    test("keeps records apart by repository, kind and subject", async () => {
      await using opened = await open();
      const { storage } = opened;
      const referrers = { repository: "team/app", kind: "referrers", subject: SUBJECT } as const;
      await storage.writeRecord(TAGS, "v1", encodeUtf8("one"));
      await storage.writeRecord(TAGS, "v1", encodeUtf8("two"));
      await storage.writeRecord(referrers, SUBJECT, encodeUtf8("ref"));
      assert.equal(decodeUtf8((await storage.readRecord(TAGS, "v1")) ?? new Uint8Array()), "two");
      assert.equal(await storage.readRecord({ ...TAGS, repository: "team" }, "v1"), undefined);
      assert.equal(await storage.readRecord({ ...TAGS, kind: "blobs" }, "v1"), undefined);
      assert.equal((await storage.listRecords(referrers))[0]?.name, SUBJECT);
      const other = { ...referrers, subject: digestOf(encodeUtf8("other")) };
      assert.deepEqual(await storage.listRecords(other), []);
      assert.deepEqual(
        (await storage.listRecords(TAGS)).map((record) => record.name),
        ["v1"],
      );
      assert.equal(await storage.deleteRecord(TAGS, "v1"), true);
      assert.equal(await storage.deleteRecord(TAGS, "v1"), false);
    });

    test("lists the repositories that hold records, whatever their depth", async () => {
      await using opened = await open();
      const { storage } = opened;
      for (const repository of ["a", "a/b", "c/d/e"]) {
        await storage.writeRecord({ ...TAGS, repository }, "v1", encodeUtf8("x"));
      }
      await storage.createUpload({ ...UPLOAD, repository: "uploading" });
      await storage.deleteRecord({ ...TAGS, repository: "a" }, "v1");
      const found = await collect(storage.listRepositories());
      assert.deepEqual(found.sort(), ["a/b", "c/d/e"]);
    });

    test("touching makes a record young", async () => {
      await using opened = await open();
      const { storage, clock } = opened;
      await storage.writeRecord(TAGS, "v1", encodeUtf8("x"));
      clock.now += 10_000_000_000;
      assert.equal(await storage.touchRecord(TAGS, "v1"), true);
      assert.equal(await storage.touchRecord(TAGS, "v2"), false);
      const [record] = await storage.listRecords(TAGS);
      assert.equal(Math.round(record?.changedMs ?? 0), clock.now);
    });
  });
}

test("openDirectoryStorage() clears half-written files and ignores strangers", async () => {
  const root = await mkdtemp(join(tmpdir(), "esgz-storage-"));
  try {
    const clock = new StandingClock();
    const first = await openDirectoryStorage(root, { clock });
    await first.writeContent(digestOf(encodeUtf8("x")), encodeUtf8("x"));
    await writeFile(join(root, "temp", "7"), "half");
    await writeFile(join(root, "blobs", "README"), "not a folder");
    await writeFile(join(root, "blobs", "sha256", "notes"), "not a folder");
    // As after a crash: the files stay, the claim on the directory does not.
    await first[Symbol.asyncDispose]();
    await using second = await openDirectoryStorage(root, { clock });
    assert.deepEqual(await readdir(join(root, "temp")), []);
    assert.equal((await collect(second.listContent())).length, 1);
  } finally {
    await rm(root, { recursive: true });
  }
});

test("openDirectoryStorage() says what it cannot use", async () => {
  await assert.rejects(openDirectoryStorage("/dev/null/registry", { clock: new StandingClock() }), {
    code: "IO_FAILED",
  });
});

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}

async function append(storage: RegistryStorage, parts: readonly string[]): Promise<void> {
  await using writer = await storage.openUpload(UPLOAD);
  await writer?.append(parts.map(encodeUtf8));
}

async function readText(storage: RegistryStorage, digest: Digest): Promise<string> {
  await using reader = await storage.openContent(digest);
  const bytes = new Uint8Array(reader?.size ?? 0);
  await reader?.read(bytes, 0);
  return decodeUtf8(bytes);
}
