/**
 * What the worker that serves layer files and its owner say to each other, over a message port.
 *
 * @module
 */
import type { MessagePort } from "node:worker_threads";
import type { MarkMessage, ServedLayerStart } from "./served-layer.ts";

/** What the worker starts with. */
export interface LayerFilesStart {
  /** Layers whose requests may come again from the kernel before any message does. */
  readonly layers: readonly ServedLayerStart[];
  readonly port: MessagePort;
}

/** To the worker. */
export type LayerFilesRequest =
  /** Answered by `added`. */
  | { readonly kind: "add"; readonly layer: ServedLayerStart }
  /** The file has no name from now on; answered by `removed` when the kernel has closed it. */
  | { readonly kind: "remove"; readonly node: number };

/** From the worker. */
export type LayerFilesNotice =
  | { readonly kind: "added"; readonly node: number }
  | { readonly kind: "removed"; readonly node: number }
  | MarkMessage;
