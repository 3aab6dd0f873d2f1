/**
 * Node numbers of virtual layer files: they follow from the layer, so that a server that takes over knows what is meant.
 *
 * @module
 */
import { hexOf, type Digest } from "../oci/index.ts";

/** 0 is no node and 1 the root directory. */
const FIRST_NODE = 2;
const HEX_DIGITS = 12;

/** The FUSE node of a layer's virtual file: 2 and the first 48 bits of its digest. */
export function layerNode(digest: Digest): number {
  return FIRST_NODE + Number.parseInt(hexOf(digest).slice(0, HEX_DIGITS), 16);
}

/** The name of a layer's virtual file: the hexadecimal digits of its digest. */
export function layerFileName(digest: Digest): string {
  return hexOf(digest);
}
