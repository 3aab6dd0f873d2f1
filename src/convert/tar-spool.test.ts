import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { END_OF_ARCHIVE, encodeTarHeader, plainMetadata, type TarEvent } from "../tar/index.ts";
import { TarSpool } from "./tar-spool.ts";

const EVERYTHING = new URL("../../test/vectors/everything.tar", import.meta.url);

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function spoolOf(bytes: Uint8Array, pieces: number): Promise<{ spool: TarSpool; left: string[] }> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-spool-test-"));
  try {
    const spool = await TarSpool.create(inPieces(bytes, pieces), { directory });
    return { spool, left: await readdir(directory) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

interface Seen {
  name: string;
  sha256: string;
}

function contentOf(events: readonly TarEvent[]): Seen[] {
  const seen: { name: string; parts: Uint8Array[] }[] = [];
  for (const event of events) {
    if (event.kind === "entry") seen.push({ name: event.entry.name, parts: [] });
    if (event.kind === "data") seen.at(-1)?.parts.push(event.bytes);
  }
  return seen.map(({ name, parts }) => ({
    name,
    sha256: createHash("sha256").update(concatBytes(parts)).digest("hex"),
  }));
}

async function allOf(batches: AsyncIterable<TarEvent[]>): Promise<TarEvent[]> {
  const events: TarEvent[] = [];
  for await (const batch of batches) events.push(...batch);
  return events;
}

test("TarSpool reads every entry alone as it reads it in the stream", async () => {
  const { spool, left } = await spoolOf(await readFile(EVERYTHING), 100_000);
  await using _ = spool;
  assert.deepEqual(left, []);
  assert.equal(spool.entries.length, 337);
  const inStream = contentOf(await allOf(spool.readAll()));
  const alone: Seen[] = [];
  for (const entry of spool.entries) alone.push(...contentOf(await allOf(spool.readEntry(entry))));
  assert.deepEqual(alone, inStream);
});

test("TarSpool applies a global PAX header to an entry that is read alone", async () => {
  const record = encodeUtf8("16 uname=global\n");
  assert.equal(record.length, 16);
  const globalHeader = encodeTarHeader(plainMetadata({ name: "pax_global", size: record.length }));
  globalHeader[156] = "g".charCodeAt(0);
  globalHeader.fill(0x20, 148, 156);
  const sum = globalHeader.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  globalHeader.set(encodeUtf8(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  const block = new Uint8Array(512);
  block.set(record);
  const tar = concatBytes([
    encodeTarHeader(plainMetadata({ name: "before" })),
    globalHeader,
    block,
    encodeTarHeader(plainMetadata({ name: "after" })),
    END_OF_ARCHIVE,
  ]);
  const { spool } = await spoolOf(tar, 700);
  await using _ = spool;
  const names: (readonly [string, string])[] = [];
  for (const entry of spool.entries) {
    for (const event of await allOf(spool.readEntry(entry))) {
      if (event.kind === "entry") names.push([event.entry.name, event.entry.userName]);
    }
  }
  assert.deepEqual(names, [
    ["before", ""],
    ["after", "global"],
  ]);
});

test("TarSpool refuses a tar that ends inside an entry", async () => {
  const tar = concatBytes([encodeTarHeader(plainMetadata({ name: "a", size: 600 })), new Uint8Array(512)]);
  await assert.rejects(spoolOf(tar, 512), { code: "TAR_INVALID" });
});
