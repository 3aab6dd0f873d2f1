// What a crash may cost, and what it may not: a chunk may be missing afterwards, never wrong.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import fc from "fast-check";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { ifExists } from "../files/index.ts";
import { CRASH_CONTENT, CRASH_LAYERS, randomNumbers } from "./crash-writer.fixture.ts";
import { decodeFilled, encodeFilled } from "./filled-file.ts";
import { type Layer, openStore, type Store, type StoreEvent } from "./index.ts";
import { dataRunsOf } from "./native-calls.ts";
import { type SampleLayer, sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";
import { layerPaths, StoreLayout } from "./store-layout.ts";

const HAS_SEEK_DATA = dataRunsOf(0, 0) !== undefined;
const WRITER = join(import.meta.dirname, "crash-writer.fixture.ts");

function openHere(root: string, onEvent?: (event: StoreEvent) => void): Promise<Store> {
  return openStore(root, { clock: new StandingClock(), pid: process.pid, onEvent });
}

/** Reads all that a layer gives, chunk by chunk and in blocks; fails on a wrong byte. Returns the chunks it has. */
async function assertNothingWrong(layer: Layer, sample: SampleLayer): Promise<Set<number>> {
  const present = new Set<number>();
  for (const [index, expected] of sample.contents.entries()) {
    const bytes = await layer.readChunk(index);
    if (bytes === undefined) continue;
    assert.deepEqual(bytes, expected);
    present.add(index);
  }
  for (let offset = 0; offset < layer.dataSize; offset += 4096) {
    const read = await layer.readRange({ offset, size: 4096 });
    const expected = sample.device.subarray(offset, offset + 4096);
    if (read.kind === "data") assert.deepEqual(read.bytes, expected);
    if (!layer.readyBlocks.has(offset / 4096)) continue;
    const raw = (await readFile(layer.dataPath)).subarray(offset, offset + 4096);
    assert.deepEqual(new Uint8Array(raw), expected);
  }
  return present;
}

test("a writer that is killed at any moment leaves nothing wrong and nothing behind, and loses nothing", async () => {
  await using directory = await scratchDirectory();
  const root = join(directory.path, "store");
  const seed = Date.now() >>> 0;
  const random = randomNumbers(seed);
  for (let round = 0; round < 5; round += 1) {
    const child = spawn(process.execPath, [WRITER, root, String(random(2 ** 31))], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const told = await killAfter(child, 1 + random(120));
    await using store = await openHere(root);
    assert.deepEqual(await readdir(join(root, "temp")), []);
    for (const sample of CRASH_LAYERS) {
      await using handle = await store.openLayer(sample.digest);
      const present = handle === undefined ? new Set() : await assertNothingWrong(handle.layer, sample);
      const { written, safe } = told.get(sample.digest) ?? { written: new Set<number>(), safe: 0 };
      assert.ok(present.size >= safe, `what was durable is there (seed ${seed})`);
      // The kernel has what a dead process wrote; SEEK_DATA finds it.
      if (HAS_SEEK_DATA)
        for (const index of written) assert.ok(present.has(index), `${index} (seed ${seed})`);
    }
    const content = await store.content.read(CRASH_CONTENT.digest);
    if (content !== undefined) assert.deepEqual(new Uint8Array(content), CRASH_CONTENT.bytes);
    for (const image of store.images()) assert.equal(image.layers.length, 2);
  }
});

interface Told {
  readonly written: Set<number>;
  safe: number;
}

/** Kills a writer when it has told so many steps; returns what it said. */
async function killAfter(child: ChildProcess, steps: number): Promise<ReadonlyMap<string, Told>> {
  const told = new Map<string, Told>();
  const exited = once(child, "exit");
  assert.ok(child.stdout !== null);
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [word, digest = "", number] = line.split(" ");
    const layer = told.get(digest) ?? { written: new Set<number>(), safe: 0 };
    told.set(digest, layer);
    if (word === "wrote") layer.written.add(Number(number));
    if (word === "safe") layer.safe = Number(number);
    lines += 1;
    if (lines >= steps) child.kill("SIGKILL");
  }
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, "SIGKILL");
  return told;
}

test("the holder of a store is named to others, and holds nothing once it is killed", async () => {
  await using directory = await scratchDirectory();
  const root = join(directory.path, "store");
  const child = spawn(process.execPath, [WRITER, root, "7"], { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(child.stdout !== null);
  await once(createInterface({ input: child.stdout }), "line");
  await assert.rejects(openHere(root), { code: "STORE_INVALID", details: { pid: child.pid } });
  child.kill("SIGKILL");
  await once(child, "exit");
  await using store = await openHere(root);
  assert.equal(store.root, root);
});

interface Crash {
  readonly root: string;
  readonly paths: ReturnType<typeof layerPaths>;
}

/** Copies a store that is in use: what a crash at this moment would leave, with everything on the disk. */
async function crashOf(root: string, copy: string, sample: SampleLayer): Promise<Crash> {
  await cp(root, copy, { recursive: true });
  // Where pids are locks, the copy is held by this process.
  await rm(join(copy, "lock"));
  return { root: copy, paths: layerPaths(new StoreLayout(copy).layer(sample.digest)) };
}

async function overwrite(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "r+");
  await file.write(bytes, 0, bytes.length, offset);
  await file.close();
}

test("a layer that was made just before a crash counts as newer than all others", async () => {
  await using directory = await scratchDirectory();
  const root = join(directory.path, "store");
  const [older, newer] = [sampleLayer("older"), sampleLayer("newer")];
  await using store = await openHere(root);
  await using _older = await store.createLayer(older.digest, older.layer);
  await store.checkpoint();
  await using _newer = await store.createLayer(newer.digest, newer.layer);
  const { root: copy } = await crashOf(root, join(directory.path, "crashed"), newer);
  const clock = new StandingClock();
  clock.now += 1000;
  await using crashed = await openStore(copy, { clock, pid: process.pid });
  await crashed.evict(1);
  assert.deepEqual(await crashed.layers(), [newer.digest]);
});

test("bits whose data was never written are not believed", async () => {
  await using directory = await scratchDirectory();
  const sample = sampleLayer("a");
  await using store = await openHere(join(directory.path, "live"));
  await using handle = await store.createLayer(sample.digest, sample.layer);
  for (const index of [0, 1])
    await handle.layer.writeChunk(index, sample.contents[index] ?? new Uint8Array());
  await handle.layer.checkpoint();
  const crash = await crashOf(store.root, join(directory.path, "crash"), sample);
  const count = sample.contents.length;
  const bitmap = new Uint8Array(Math.ceil(count / 8)).fill(0xff);
  await writeFile(crash.paths.filled, encodeFilled({ count, bitmap }));

  const events: StoreEvent[] = [];
  await using reopened = await openHere(crash.root, (event) => events.push(event));
  await using again = await reopened.openLayer(sample.digest);
  assert.ok(again !== undefined);
  assert.equal(again.layer.filledCount, 0);
  assert.deepEqual(await assertNothingWrong(again.layer, sample), new Set([0, 1]));
  assert.deepEqual(events[0], { kind: "layer-untrusted", layer: sample.digest, reason: "unclean" });
  assert.equal(events.filter(({ kind }) => kind === "chunk-rejected").length, count - 2);
});

test("a checkpoint puts a bit on the disk after its data, and not before", async () => {
  await using directory = await scratchDirectory();
  const sample = sampleLayer("a");
  await using store = await openHere(join(directory.path, "live"));
  await using handle = await store.createLayer(sample.digest, sample.layer);
  const paths = layerPaths(new StoreLayout(store.root).layer(sample.digest));
  const onDisk = async (): Promise<unknown> => {
    const bytes = await ifExists(readFile(paths.filled));
    if (bytes === undefined) return "none";
    const record = decodeFilled(bytes, sample.contents.length);
    return { bits: Array.from(record?.bitmap ?? []), clean: record?.clean !== undefined };
  };
  assert.equal(await onDisk(), "none");
  await handle.layer.writeChunk(9, sample.contents[9] ?? new Uint8Array());
  assert.equal(await onDisk(), "none");
  await handle.layer.checkpoint();
  assert.deepEqual(await onDisk(), { bits: [0, 2], clean: false });
  await handle.close();
  assert.deepEqual(await onDisk(), { bits: [0, 2], clean: true });
  await using again = await store.openLayer(sample.digest);
  assert.ok(again !== undefined);
  assert.deepEqual(await onDisk(), { bits: [0, 2], clean: true });
  await again.layer.writeChunk(0, sample.contents[0] ?? new Uint8Array());
  assert.deepEqual(await onDisk(), { bits: [0, 2], clean: false });
});

const Step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("write" as const), at: fc.nat(), torn: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("checkpoint" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("read" as const), at: fc.nat(), size: fc.nat(30_000) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("power loss" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("tamper" as const), at: fc.nat(), bit: fc.nat(7) }) },
);

test("writes, crashes, power losses and tampering in any order never give a wrong byte", async () => {
  const sample = sampleLayer("a");
  await fc.assert(
    fc.asyncProperty(fc.array(Step, { maxLength: 25 }), async (steps) => {
      await using directory = await scratchDirectory();
      const run = await CrashRun.begin(directory.path, sample);
      try {
        for (const step of steps) await run.take(step);
        await run.check();
      } finally {
        await run.end();
      }
    }),
    { numRuns: 15, endOnFailure: true },
  );
});

/** A store under random treatment, with what it must still have. */
class CrashRun {
  readonly #directory: string;
  readonly #sample: SampleLayer;
  readonly #abandoned: Store[] = [];
  #root: string;
  #store: Store;
  #layer: Layer;
  /** Chunks that must be there, and chunks written since the last sync with how a power loss tears them. */
  readonly #safe = new Set<number>();
  readonly #unsafe = new Map<number, number>();

  private constructor(
    directory: string,
    sample: SampleLayer,
    opened: { root: string; store: Store; layer: Layer },
  ) {
    this.#directory = directory;
    this.#sample = sample;
    this.#root = opened.root;
    this.#store = opened.store;
    this.#layer = opened.layer;
  }

  static async begin(directory: string, sample: SampleLayer): Promise<CrashRun> {
    const root = join(directory, "0");
    const store = await openHere(root);
    const { layer } = await store.createLayer(sample.digest, sample.layer);
    return new CrashRun(directory, sample, { root, store, layer });
  }

  async take(step: typeof Step extends fc.Arbitrary<infer T> ? T : never): Promise<void> {
    switch (step.kind) {
      case "write": {
        const index = step.at % this.#sample.contents.length;
        await this.#layer.writeChunk(index, this.#sample.contents[index] ?? new Uint8Array());
        if (!this.#safe.has(index)) this.#unsafe.set(index, step.torn);
        return;
      }
      case "checkpoint":
        await this.#layer.checkpoint();
        this.#settle();
        return;
      case "read": {
        const offset = step.at % this.#layer.dataSize;
        const size = Math.min(step.size, this.#layer.dataSize - offset);
        const read = await this.#layer.readRange({ offset, size });
        const expected = this.#sample.device.subarray(offset, offset + size);
        if (read.kind === "data") assert.deepEqual(read.bytes, expected);
        return;
      }
      case "reopen":
        await this.#store.close();
        this.#settle();
        await this.#open(this.#root);
        return;
      case "power loss":
        await this.#losePower();
        return;
      case "tamper":
        await this.#store.close();
        this.#settle();
        await this.#tamper(step.at % this.#layer.dataSize, step.bit);
        await this.#open(this.#root);
        return;
    }
  }

  async check(): Promise<void> {
    const present = await assertNothingWrong(this.#layer, this.#sample);
    for (const index of [...this.#safe, ...this.#unsafe.keys()])
      assert.ok(present.has(index), `chunk ${index}`);
  }

  async end(): Promise<void> {
    for (const store of [this.#store, ...this.#abandoned]) await store.close();
  }

  #settle(): void {
    for (const index of this.#unsafe.keys()) this.#safe.add(index);
    this.#unsafe.clear();
  }

  async #losePower(): Promise<void> {
    const root = join(this.#directory, String(this.#abandoned.length + 1));
    const { paths } = await crashOf(this.#root, root, this.#sample);
    for (const [index, torn] of this.#unsafe) {
      const row = this.#sample.layer.chunks.rows[index];
      const lost = new Uint8Array(Math.ceil((row?.size ?? 0) / (torn + 1)));
      await overwrite(paths.data, row?.place ?? 0, lost);
    }
    this.#unsafe.clear();
    this.#abandoned.push(this.#store);
    await this.#open(root);
  }

  async #tamper(offset: number, bit: number): Promise<void> {
    const data = await readFile(this.#layer.dataPath);
    await overwrite(this.#layer.dataPath, offset, Uint8Array.of((data[offset] ?? 0) ^ (1 << bit)));
    const { rows } = this.#sample.layer.chunks;
    // The rest of a block counts to the chunk before it.
    const touched = rows.findLastIndex(({ place }) => place <= offset);
    this.#safe.delete(touched);
  }

  async #open(root: string): Promise<void> {
    this.#root = root;
    this.#store = await openHere(root);
    const handle = await this.#store.openLayer(this.#sample.digest);
    assert.ok(handle !== undefined);
    this.#layer = handle.layer;
  }
}
