import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { layerTreeFromTar } from "../image/index.ts";
import { TarDecoder, type TarEntry } from "../tar/index.ts";
import { isStageRecord, readStageRecord, StageRecordWriter } from "./stage-record.ts";

const TAR = readFileSync(new URL("../../test/vectors/everything.tar", import.meta.url));

function entriesOf(tar: Uint8Array): TarEntry[] {
  const decoder = new TarDecoder();
  const events = [...decoder.push(tar), ...decoder.finish()];
  return events.flatMap((event) => (event.kind === "entry" ? [event.entry] : []));
}

function write(t: TestContext, entries: readonly TarEntry[]): string {
  const directory = mkdtempSync(join(tmpdir(), "esgz-record-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const path = join(directory, "0.entries");
  const writer = new StageRecordWriter(path);
  for (const entry of entries) writer.add(entry);
  writer.finish();
  return path;
}

suite("a stage record", () => {
  test("gives back what a tar says, but for owners' names, which a root does not keep", (t) => {
    const entries = entriesOf(TAR);
    const path = write(t, entries);
    assert.equal(isStageRecord(path), true);
    const expected = [...layerTreeFromTar(entries).entries].map(({ content, ...entry }) => ({
      ...entry,
      userName: "",
      groupName: "",
      ...(content?.kind === "tar"
        ? { content: { kind: "tar", tarOffset: content.tarOffset, storedSize: content.storedSize } }
        : {}),
    }));
    assert.equal(expected.length, 337);
    assert.deepEqual([...readStageRecord(path)], expected);
  });

  test("can be larger than what is read at once, and its names need not be UTF-8", (t) => {
    const [first] = entriesOf(TAR);
    assert.ok(first !== undefined);
    const names = Array.from({ length: 5000 }, (_, i) => `directory/caf\udce9 ${i} "日本"\n`);
    const path = write(
      t,
      names.map((name) => ({ ...first, name })),
    );
    assert.equal(isStageRecord(path), true);
    assert.deepEqual(
      Array.from(readStageRecord(path), (entry) => entry.path),
      names,
    );
  });

  test("of no entries is one", (t) => {
    const path = write(t, []);
    assert.equal(isStageRecord(path), true);
    assert.deepEqual([...readStageRecord(path)], []);
  });

  const DAMAGES: readonly (readonly [string, (path: string) => void])[] = [
    ["was cut off", (path) => truncateSync(path, readFileSync(path).length - 10)],
    ["was cut off between two lines", (path) => truncateSync(path, readFileSync(path).lastIndexOf("{"))],
    ["is empty", (path) => truncateSync(path, 0)],
    ["goes on after its end", (path) => appendFileSync(path, "[]\n")],
    [
      "has another byte",
      (path) => writeFileSync(path, readFileSync(path, "latin1").replace("etc", "usr"), "latin1"),
    ],
    ["is of another kind", (path) => writeFileSync(path, Buffer.from([0xff, 0x0f, 0x41, 0x0a]))],
  ];
  for (const [what, damage] of DAMAGES) {
    test(`is not relied on when it ${what}`, (t) => {
      const path = write(t, entriesOf(TAR));
      damage(path);
      assert.equal(isStageRecord(path), false);
    });
  }

  test("that ends too early is an error of the disk", (t) => {
    const path = write(t, entriesOf(TAR));
    truncateSync(path, 500);
    assert.throws(() => [...readStageRecord(path)], { code: "IO_FAILED" });
  });
});
