/**
 * Counting what arrives, and saying so a few times a second.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { Descriptor } from "../oci/index.ts";
import type { LayerProgress, PullEvent } from "./pull-report.ts";
import type { WireObserver } from "./retained-blob.ts";

/** No two progress events are closer, in milliseconds. */
const EVENT_INTERVAL_MS = 100;
/** Rates are over this time, in milliseconds. */
const RATE_WINDOW_MS = 3000;

interface LayerCount {
  readonly descriptor: Descriptor;
  totalBytes: number;
  fetchedBytes: number;
}

/** The counters of one pull. */
export class PullProgress {
  /** Bytes that came over the wire, needed or not. */
  wireBytes = 0;
  /** Requests for ranges and blobs. */
  requests = 0;
  /** Counts both. */
  readonly wire: WireObserver = {
    onRequest: () => {
      this.requests += 1;
    },
    onBytes: (size) => {
      this.wireBytes += size;
    },
  };
  /** Second requests for slow ranges. */
  hedged = 0;
  readonly #clock: Clock;
  readonly #emit: (event: PullEvent) => void;
  readonly #layers: readonly LayerCount[];
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];
  #emittedMs = -Infinity;

  constructor(options: {
    readonly clock: Clock;
    readonly emit: (event: PullEvent) => void;
    readonly layers: readonly Descriptor[];
  }) {
    this.#clock = options.clock;
    this.#emit = options.emit;
    this.#layers = options.layers.map((descriptor) => ({ descriptor, totalBytes: 0, fetchedBytes: 0 }));
  }

  /** Says how many bytes a layer's fetch will take. */
  expect(layer: number, totalBytes: number): void {
    const count = this.#layers[layer];
    if (count !== undefined) count.totalBytes = totalBytes;
  }

  /** Counts needed bytes of a layer. */
  received(layer: number, bytes: number): void {
    const count = this.#layers[layer];
    if (count !== undefined) count.fetchedBytes += bytes;
    if (this.#clock.nowMs() - this.#emittedMs >= EVENT_INTERVAL_MS) this.emit();
  }

  /** The bytes of a layer that were counted. */
  fetchedOf(layer: number): number {
    return this.#layers[layer]?.fetchedBytes ?? 0;
  }

  /** Says now how far it is. */
  emit(): void {
    const nowMs = this.#clock.nowMs();
    const layers = this.#layers.map(progressOf);
    const totalBytes = layers.reduce((sum, layer) => sum + layer.totalBytes, 0);
    const fetchedBytes = layers.reduce((sum, layer) => sum + layer.fetchedBytes, 0);
    const bytesPerSecond = this.#rate(nowMs, fetchedBytes);
    this.#emittedMs = nowMs;
    this.#emit({
      kind: "progress",
      totalBytes,
      fetchedBytes,
      fraction: totalBytes === 0 ? 0 : Math.min(1, fetchedBytes / totalBytes),
      bytesPerSecond,
      secondsLeft: bytesPerSecond > 0 ? Math.max(0, totalBytes - fetchedBytes) / bytesPerSecond : undefined,
      layers,
    });
  }

  #rate(nowMs: number, bytes: number): number {
    const samples = this.#samples;
    samples.push({ atMs: nowMs, bytes });
    while (samples.length > 2 && nowMs - (samples[0]?.atMs ?? nowMs) > RATE_WINDOW_MS) samples.shift();
    const first = samples[0];
    if (first === undefined || nowMs <= first.atMs) return 0;
    return ((bytes - first.bytes) * 1000) / (nowMs - first.atMs);
  }
}

function progressOf({ descriptor, totalBytes, fetchedBytes }: LayerCount, index: number): LayerProgress {
  return { index, digest: descriptor.digest, totalBytes, fetchedBytes };
}
