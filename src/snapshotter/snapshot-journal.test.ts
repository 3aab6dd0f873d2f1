import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import { decodeJournalLine } from "./journal-line.ts";
import { decodeJournal, SnapshotJournal } from "./snapshot-journal.ts";
import type { Snapshot } from "./snapshot.ts";

function snapshot(id: number, labels: Record<string, string> = {}): Snapshot {
  return { id, name: `name-${id}`, parent: "", kind: "active", labels, createdMs: 1, updatedMs: 2 };
}

async function journalPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-journal-"));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, "journal");
}

test("a journal has what was put and not removed, and never gives an id again", async (t) => {
  const path = await journalPath(t);
  {
    const { isNew, journal, nextId, snapshots } = await SnapshotJournal.open(path);
    await using _ = journal;
    assert.deepEqual({ isNew, nextId, snapshots }, { isNew: true, nextId: 1, snapshots: [] });
    for (const id of [1, 2, 3]) journal.put(snapshot(id));
    await journal.flush("now");
    journal.put(snapshot(2, { changed: "yes", __proto__: "own" }));
    journal.remove(3);
    await journal.flush("soon");
  }
  for (let times = 0; times < 2; times += 1) {
    const { journal, ...content } = await SnapshotJournal.open(path);
    await journal.close();
    assert.deepEqual(content, {
      snapshots: [snapshot(1), snapshot(2, { changed: "yes", __proto__: "own" })],
      nextId: 4,
      isNew: false,
      damagedLines: 0,
    });
  }
});

test("an unfinished last line is nothing, a damaged one is told and skipped", async (t) => {
  const path = await journalPath(t);
  const { journal } = await SnapshotJournal.open(path);
  journal.put(snapshot(1));
  await journal.flush("now");
  journal.put(snapshot(2));
  await journal.flush("now");
  await journal.close();
  const whole = await readFile(path, "utf8");
  assert.equal(whole.split("\n").length, 4);
  assert.deepEqual([...decodeJournal(whole.slice(0, -5)).live.keys()], [1]);
  await writeFile(path, whole.replace("name-1", "nane-1"));
  await appendFile(path, '12345678 {"put"');
  const reopened = await SnapshotJournal.open(path);
  await reopened.journal.close();
  assert.deepEqual(reopened.snapshots, [snapshot(2)]);
  assert.equal(reopened.damagedLines, 1);
});

test("changes of one turn are one write of the last state, and a long file is rewritten", async (t) => {
  const path = await journalPath(t);
  const { journal } = await SnapshotJournal.open(path);
  for (let index = 0; index < 1000; index += 1) journal.put(snapshot(1, { index: String(index) }));
  await journal.flush("soon");
  assert.equal((await readFile(path, "utf8")).split("\n").length, 3);
  const label = "x".repeat(100_000);
  for (let index = 0; index < 60; index += 1) {
    journal.put(snapshot(1, { label, index: String(index) }));
    await journal.flush("soon");
  }
  assert.ok((await stat(path)).size < 4_500_000);
  await journal.close();
  assert.deepEqual((await SnapshotJournal.open(path)).snapshots, [snapshot(1, { label, index: "59" })]);
});

test("decodeJournalLine() gives a value or undefined for any text", () => {
  // The checksum is that of the text behind it, as computed by Python's zlib.crc32.
  assert.deepEqual(decodeJournalLine('19aa6c90 {"next":5}'), { next: 5 });
  assert.equal(decodeJournalLine('19aa6c90 {"next":6}'), undefined);
  fc.assert(fc.property(fc.string(), (text) => decodeJournalLine(text) === undefined));
});
