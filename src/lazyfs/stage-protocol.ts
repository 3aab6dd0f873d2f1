/**
 * What the main thread and a thread that stages layers say to each other.
 *
 * @module
 */
import type { OverlayNamespace } from "../erofs/index.ts";
import type { Layer } from "../image/index.ts";
import type { WrittenLayer } from "./tar-layer-writer.ts";

/** Which layer. */
export interface StageStart {
  readonly layer: Pick<Layer, "index" | "descriptor" | "diffId" | "compression">;
  /** The file of the data device, empty. */
  readonly dataPath: string;
  readonly overlayMarks: OverlayNamespace;
}

/** One thing to do. */
export type StageJob =
  /** A layer begins; the one before has ended. */
  | { readonly kind: "begin"; readonly start: StageStart }
  /** The next bytes of the blob; answered when there is room for more. */
  | { readonly kind: "push"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The blob comes again from its start. */
  | { readonly kind: "restart" }
  /** The blob has ended; answered when the layer is there and proven, or has to come again. */
  | { readonly kind: "finish" };

/** How it went. */
export interface StageAnswer {
  /** Bytes that the file has so far. */
  readonly written: number;
  /** Whether the blob is needed again from its start. */
  readonly restart: boolean;
  /** Of `finish`: the layer. */
  readonly layer?: WrittenLayer | undefined;
}
