/**
 * `node crash-writer.fixture.ts ROOT SEED`: writes to a store until it is killed, telling each step on stdout.
 *
 * Lines: `ready`; `wrote DIGEST INDEX` for a chunk; `safe DIGEST COUNT`: so many chunks of the layer are durable.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import type { Digest } from "../oci/index.ts";
import { openStore } from "./index.ts";
import { type SampleFile, type SampleLayer, sampleLayer } from "./sample-layer.fixture.ts";

/** Two layers that share half of their chunks. */
export const CRASH_LAYERS: readonly SampleLayer[] = ["one", "two"].map((name) =>
  sampleLayer(name, crashFiles(name), "shared"),
);

function crashFiles(name: string): SampleFile[] {
  return Array.from({ length: 40 }, (_, at) => ({
    chunks: at % 2 === 0 ? [5000, 20_000] : [100 + at + name.length * (name === "one" ? 1 : 2)],
    gapBlocks: at % 7 === 0 ? 1 : 0,
  }));
}

async function write(root: string, seed: number): Promise<void> {
  const next = randomNumbers(seed);
  const store = await openStore(root, { clock: systemClock, pid: process.pid, checkpointBytes: 200_000 });
  tell("ready");
  for (;;) {
    const sample = CRASH_LAYERS[next(2)] ?? CRASH_LAYERS[0];
    if (sample === undefined) return;
    await using handle = await store.createLayer(sample.digest, sample.layer, { durable: next(2) === 0 });
    for (let step = next(12); step > 0; step -= 1) {
      const index = next(sample.contents.length);
      await handle.layer.writeChunk(index, sample.contents[index] ?? new Uint8Array());
      tell(`wrote ${sample.digest} ${index}`);
    }
    if (next(4) === 0) await store.copyKnownChunks(handle.layer);
    if (next(3) === 0) {
      await handle.layer.checkpoint();
      tell(`safe ${sample.digest} ${handle.layer.filledCount}`);
    }
    if (next(3) === 0) await useOthers(store, sample);
  }
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function useOthers(store: Awaited<ReturnType<typeof openStore>>, sample: SampleLayer): Promise<void> {
  store.setImage({
    name: "app",
    platform: "linux/amd64",
    root: sample.digest,
    manifest: sample.digest,
    layers: CRASH_LAYERS.map(({ digest }) => digest),
    content: [],
  });
  const { digest, bytes } = CRASH_CONTENT;
  await store.content.delete(digest);
  await store.content.write(digest, bytes);
}

/** A small blob that the writer deletes and writes. */
export const CRASH_CONTENT: { readonly digest: Digest; readonly bytes: Uint8Array } = {
  digest: "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
  bytes: new TextEncoder().encode("hello"),
};

/** Whole numbers below a bound that follow from a seed (a 32-bit xorshift). */
export function randomNumbers(seed: number): (bound: number) => number {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

if (import.meta.main) await write(process.argv[2] ?? "", Number(process.argv[3]));
