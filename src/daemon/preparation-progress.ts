/**
 * Events of an image that is prepared, as clients get them.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import type { ImageObserver } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type { ControlEvent, LayerSummary } from "./control-protocol.ts";
import { PROGRESS_MS, sumOf } from "./fill-progress.ts";

/** Tells a client about one preparation. */
export class PreparationProgress {
  readonly #name: string;
  readonly #emit: (event: ControlEvent) => void;
  readonly #beginMs: number;
  /** By the layer's digest: those that are read whole. */
  readonly #whole = new Map<Digest, { index: number; doneBytes: number; totalBytes: number }>();
  #layers = 0;
  #isResolved = false;
  #saidMs = -Infinity;

  constructor(
    name: string,
    options: { readonly emit: (event: ControlEvent) => void; readonly beginMs: number },
  ) {
    this.#name = name;
    this.#emit = options.emit;
    this.#beginMs = options.beginMs;
  }

  /** Takes the events of `prepareImage()`. */
  readonly onEvent: ImageObserver = (event) => {
    switch (event.kind) {
      case "manifest":
        this.sayResolved(event.manifest, event.layers);
        break;
      case "layer-declined":
        this.#whole.set(event.layer, { index: event.index, doneBytes: 0, totalBytes: 0 });
        // Before it is read, which may take long; all of it is said once the index is there.
        this.#emit({ kind: "layer", index: event.index, layer: declined(event) });
        break;
      case "layer-progress":
        this.#noteProgress(event);
        break;
      case "layer":
      case "layers":
      case "merged":
        break;
    }
  };

  /** Says what the name stands for, once. */
  sayResolved(manifest: Digest, layers: number): void {
    this.#layers = layers;
    if (this.#isResolved) return;
    this.#isResolved = true;
    const ms = systemClock.nowMs() - this.#beginMs;
    this.#emit({ kind: "resolved", name: this.#name, manifest, layers, ms });
  }

  #noteProgress({ layer, bytes, size }: { layer: Digest; bytes: number; size: number }): void {
    const state = this.#whole.get(layer);
    if (state === undefined) return;
    state.doneBytes = bytes;
    state.totalBytes = size;
    const nowMs = systemClock.nowMs();
    if (nowMs - this.#saidMs < PROGRESS_MS && bytes < size) return;
    this.#saidMs = nowMs;
    const layers = Array.from({ length: this.#layers }, () => ({ doneBytes: 0, totalBytes: 0 }));
    for (const { index, doneBytes, totalBytes } of this.#whole.values())
      layers[index] = { doneBytes, totalBytes };
    this.#emit(sumOf(layers));
  }
}

function declined({ layer, reason }: { readonly layer: Digest; readonly reason: string }): LayerSummary {
  return { digest: layer, size: 0, lazy: false, reason };
}
