import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { OpenedFile } from "../files/index.ts";
import { CheckedMeta } from "./checked-meta.ts";
import { ChunkTable } from "./chunk-table.ts";
import { encodeChunkTable } from "./chunk-table-file.ts";
import { DEFAULT_TABLE_LIMITS } from "./chunk-table-limits.ts";
import { decodeFilled } from "./filled-file.ts";
import { FilledJournal } from "./filled-journal.ts";
import { LayerBits } from "./layer-bits.ts";
import { PageCache } from "./page-cache.ts";
import { sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";
import { layerPaths, StoreLayout } from "./store-layout.ts";

test("chunks whose data the system lost count as missing, on the disk too", async () => {
  await using setup = await openJournal();
  const { data, bits, journal, write, onDisk } = setup;
  // No real disk fails on demand without a device of its own: this one does.
  const sync = data.datasync.bind(data);
  let failing = false;
  data.datasync = () => (failing ? Promise.reject(new Error("EIO")) : sync());

  write(0);
  await journal.checkpoint();
  assert.deepEqual(await onDisk(), [1, 0]);
  write(1);
  write(2);
  failing = true;
  await assert.rejects(journal.checkpoint(), { message: "EIO" });
  assert.deepEqual(
    [0, 1, 2].map((at) => bits.filled.has(at)),
    [true, false, false],
  );
  failing = false;
  write(2);
  await journal.checkpoint();
  assert.deepEqual(await onDisk(), [5, 0]);
  assert.equal(journal.writtenBytes, 0);
});

test("a chunk that comes while a layer is being closed is not said to be there", async () => {
  await using setup = await openJournal();
  const { data, journal, write, onDisk } = setup;
  write(0);
  const sync = data.sync.bind(data);
  data.sync = async () => {
    await sync();
    write(1);
  };
  await journal.finish();
  assert.deepEqual(await onDisk(), [1, 0]);
});

/** The journal of a layer whose files are there and empty. */
async function openJournal() {
  await using parts = new AsyncDisposableStack();
  const directory = parts.use(await scratchDirectory());
  const sample = sampleLayer("a");
  const layout = new StoreLayout(directory.path);
  await mkdir(layout.temp);
  const paths = layerPaths(directory.path);
  await writeFile(paths.chunks, encodeChunkTable(sample.layer.chunks));
  await writeFile(paths.meta, "");
  const meta = CheckedMeta.ofNew(paths.meta, sample.digest);
  const table = parts.use(
    ChunkTable.open(paths.chunks, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(1) }),
  );
  const data = parts.use(OpenedFile.open(paths.data, "w+"));
  const bits = new LayerBits(table);
  const nextTemporary = (): string => layout.nextTemporary();
  const journal = new FilledJournal({
    paths,
    data,
    meta,
    bits,
    state: "open",
    unsynced: false,
    nextTemporary,
  });
  const write = (index: number): void => {
    bits.fill(index);
    journal.noteWritten(index, 1);
  };
  const onDisk = async (): Promise<number[]> =>
    Array.from(decodeFilled(await readFile(join(directory.path, "filled")), table.count)?.bitmap ?? []);
  const disposal = parts.move();
  return { data, bits, journal, write, onDisk, [Symbol.asyncDispose]: () => disposal.disposeAsync() };
}
