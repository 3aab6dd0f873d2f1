/**
 * `node bench/store-fill.ts [--mib N] [--runs N]`: how fast chunks become verified and readable in a layer store.
 *
 * Each run makes a store and a layer, writes all its chunks one after the other, ends the session (all is on the disk
 * then), opens it again and reads everything. Beside it: the same bytes with SHA-256 and `pwrite` alone, and a layer of
 * many small files, opened.
 *
 * @module
 */
import { createHash, hash, randomBytes } from "node:crypto";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "../src/async/index.ts";
import { type ChunkRow, type NewLayer, openStore, type Store } from "../src/store/index.ts";

const MIB = 2 ** 20;
const DIGEST = `sha256:${"a".repeat(64)}` as const;
const { values } = parseArgs({
  options: { mib: { type: "string", default: "256" }, runs: { type: "string", default: "3" } },
});
const total = Number(values.mib) * MIB;

for (const chunkSize of [4 * MIB, 100 * 1024]) {
  const chunks = makeChunks(chunkSize);
  for (let run = 0; run < Number(values.runs); run += 1) {
    const floor = await inScratch((directory) => writePlainly(join(directory, "data"), chunks));
    const times = await inScratch((directory) => fillLayer(join(directory, "store"), chunks));
    print(`${chunkSize / 1024} KiB chunks`, { floor, ...times });
  }
}
for (const count of [1000, 50_000, 500_000]) await inScratch((directory) => openMany(directory, count));

interface Chunks {
  readonly layer: NewLayer;
  readonly bytes: readonly Uint8Array[];
}

function makeChunks(size: number): Chunks {
  const pool = randomBytes(64 * MIB);
  const rows: ChunkRow[] = [];
  const bytes: Uint8Array[] = [];
  for (let place = 0; place + size <= total; place += size) {
    // Overlapping parts of one pool: different chunks, little memory.
    const start = (rows.length * 4099) % (pool.length - size);
    const part = pool.subarray(start, start + size);
    bytes.push(part);
    const digest = createHash("sha256").update(part).digest();
    rows.push({ place, size, blobOffset: place, memberSize: size, innerOffset: 0, digest });
  }
  return { layer: layerOf(rows, total), bytes };
}

function layerOf(rows: readonly ChunkRow[], dataSize: number): NewLayer {
  return {
    meta: new Uint8Array(4096),
    chunks: { rows, dataSize },
    source: {
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      blobSize: dataSize,
      compression: "gzip",
      prefetchSize: 0,
      locations: [],
      blobVerified: false,
    },
  };
}

async function writePlainly(path: string, { bytes, layer }: Chunks): Promise<number> {
  const file = await open(path, "w");
  const started = performance.now();
  for (const [index, part] of bytes.entries()) {
    hash("sha256", part, "buffer");
    await file.write(part, 0, part.length, layer.chunks.rows[index]?.place ?? 0);
  }
  const elapsed = performance.now() - started;
  await file.close();
  return elapsed;
}

async function fillLayer(root: string, chunks: Chunks): Promise<Record<string, number>> {
  const times: Record<string, number> = {};
  await inStore(root, async (store) => {
    await using handle = await store.createLayer(DIGEST, chunks.layer);
    const started = performance.now();
    for (const [index, part] of chunks.bytes.entries()) await handle.layer.writeChunk(index, part);
    times["fill"] = performance.now() - started;
    await handle.close();
    times["fill to disk"] = performance.now() - started;
  });
  await inStore(root, async (store) => {
    await using handle = await store.openLayer(DIGEST);
    const started = performance.now();
    for (let index = 0; index < chunks.bytes.length; index += 1) await handle?.layer.readChunk(index);
    times["read"] = performance.now() - started;
    const again = performance.now();
    await handle?.layer.scrub();
    times["verify"] = performance.now() - again;
  });
  return times;
}

async function openMany(directory: string, count: number): Promise<void> {
  const digest = randomBytes(32);
  const rows = Array.from({ length: count }, (_, index) => {
    return { place: index * 4096, size: 3000, blobOffset: index, memberSize: 1, innerOffset: 0, digest };
  });
  const root = join(directory, "store");
  const times: number[] = [];
  await inStore(root, async (store) => {
    const started = performance.now();
    await using _handle = await store.createLayer(DIGEST, layerOf(rows, count * 4096));
    times.push(performance.now() - started);
  });
  for (let run = 0; run < 3; run += 1) {
    await inStore(root, async (store) => {
      const started = performance.now();
      await using _handle = await store.openLayer(DIGEST);
      times.push(performance.now() - started);
    });
  }
  const [created, ...opened] = times.map((ms) => `${ms.toFixed(1)} ms`);
  console.log(`${count} chunks: created in ${created}, opened in ${opened.join(", ")}`);
}

async function inStore(root: string, work: (store: Store) => Promise<void>): Promise<void> {
  await using store = await openStore(root, { clock: systemClock, pid: process.pid });
  await work(store);
}

async function inScratch<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-bench-"));
  try {
    return await work(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function print(what: string, times: Readonly<Record<string, number>>): void {
  const rates = Object.entries(times).map(
    ([name, ms]) => `${name} ${Math.round(total / MIB / (ms / 1000))} MB/s`,
  );
  console.log(`${what}: ${rates.join(", ")}`);
}
