/**
 * The names and nodes of an additional layer store, as containers-storage asks for them.
 *
 * ```text
 * node                                name below the mountpoint
 * 1                                   .
 * 2                                   pool
 * 8 x hash(reference) + 16            <base64 of the reference>
 * 8 x hash(reference, digest) + 17    <base64>/<digest>            of the layer's blob, or of its table of contents
 *                             + 18    <base64>/<digest>/diff
 *                             + 19    <base64>/<digest>/info
 *                             + 20    <base64>/<digest>/blob
 * ```
 *
 * `hash` is the first 44 bits of SHA-256: nodes follow from what they stand for, so that a server that takes over knows what
 * the kernel means. Source: drivers/overlay of containers-storage, `getAdditionalLayerPath()`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { isDigest, type Digest } from "../oci/index.ts";

/** The node of the link to the store's own directory. */
export const POOL_NODE = 2;

/** What a node of a layer is. */
export type LayerStorePart = "directory" | "diff" | "info" | "blob";

const PARTS: readonly LayerStorePart[] = ["directory", "diff", "info", "blob"];
const FIRST_NODE = 16;
const STEP = 8;

/** The node of an image. */
export function imageNode(reference: string): number {
  return FIRST_NODE + STEP * hashOf(reference);
}

/** The node of a layer's directory, or of what is in it. */
export function layerNode(
  layer: { readonly reference: string; readonly digest: Digest },
  part: LayerStorePart,
): number {
  return FIRST_NODE + STEP * hashOf(`${layer.reference} ${layer.digest}`) + 1 + PARTS.indexOf(part);
}

/** The part that a layer's node stands for. */
export function partOf(node: number): LayerStorePart | undefined {
  return PARTS[(node % STEP) - 1];
}

/** The name of an image's directory. */
export function imageName(reference: string): string {
  return Buffer.from(reference).toString("base64");
}

/** The reference that a name stands for, if it is one. */
export function parseImageDirectory(name: string): string | undefined {
  const reference = Buffer.from(name, "base64").toString("utf8");
  return reference !== "" && imageName(reference) === name ? reference : undefined;
}

/** The digest that a name stands for, if it is one. */
export function parseLayerDirectory(name: string): Digest | undefined {
  return isDigest(name) ? name : undefined;
}

function hashOf(text: string): number {
  return Math.floor(createHash("sha256").update(text).digest().readUIntBE(0, 6) / 16);
}
