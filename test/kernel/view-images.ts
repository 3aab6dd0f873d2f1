/**
 * Images in a store whose contents are known: for tests of what shows them.
 */
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  compileErofs,
  createWhiteout,
  withOpaqueMark,
  type ErofsDirectory,
  type ErofsNode,
} from "../../src/erofs/index.ts";
import type { ViewedImage } from "../../src/lazyfs/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import type { LayerHandle, Store } from "../../src/store/index.ts";
import { BLOCK, DEVICE_BLOCKS, deviceContent } from "./erofs-trees.ts";

/** A layer: its tree lies on one device, number 0. */
export interface TestLayer {
  readonly digest: Digest;
  readonly device: Uint8Array;
  readonly tree: ErofsDirectory;
}

const TIME = { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
const OWNER = { uid: 0, gid: 0, mtime: TIME };

/** A directory of the test's owner. */
export function directory(children: Record<string, ErofsNode>, mode = 0o755): ErofsDirectory {
  return { ...OWNER, mode, type: "dir", children: new Map(Object.entries(children)) };
}

/** A file of `size` bytes that lies at a block of the device. */
export function file(block: number, size: number, device = 0): ErofsNode {
  const extents = size === 0 ? [] : [{ fileOffset: 0, size, device, deviceOffset: block * BLOCK }];
  return { ...OWNER, mode: 0o644, type: "reg", size, extents };
}

/** Two layers: the upper one hides a file and replaces a directory of the lower one. */
export function twoLayers(): readonly TestLayer[] {
  const linked = file(0, 3 * BLOCK);
  const lower = directory({
    hidden: file(3, 10),
    kept: file(4, 5000),
    linked,
    again: linked,
    replaced: directory({ old: file(6, 100) }),
    both: directory({ low: file(7, 1) }, 0o700),
    big: file(8, 40 * BLOCK),
  });
  const upper = directory({
    hidden: createWhiteout({ ...OWNER, mode: 0 }),
    replaced: withOpaqueMark(directory({ fresh: file(0, 20) }), "trusted"),
    both: directory({ high: file(1, 2) }, 0o711),
    link: { ...OWNER, mode: 0o777, type: "symlink", target: "kept" },
  });
  return [lower, upper].map((tree, index) => testLayer(tree, deviceContent(index)));
}

/** A layer of a tree. */
export function testLayer(tree: ErofsDirectory, device: Uint8Array): TestLayer {
  const hex = createHash("sha256").update(device).update("layer").digest("hex");
  return { digest: `sha256:${hex}`, device, tree };
}

/** Puts a layer into a store, without any of its chunks. */
export async function storeLayer(store: Store, { digest, device, tree }: TestLayer): Promise<LayerHandle> {
  const { bytes: meta } = compileErofs(tree, { devices: [{ size: device.length }] });
  const rows = Array.from({ length: device.length / BLOCK }, (_, index) => ({
    place: index * BLOCK,
    size: BLOCK,
    blobOffset: index * 100,
    memberSize: 100,
    innerOffset: 0,
    digest: createHash("sha256")
      .update(device.subarray(index * BLOCK, (index + 1) * BLOCK))
      .digest(),
  }));
  return await store.createLayer(digest, {
    meta,
    chunks: { dataSize: device.length, rows },
    source: {
      mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
      blobSize: rows.length * 100,
      compression: "gzip",
      prefetchSize: 0,
      locations: [],
      blobVerified: false,
    },
  });
}

/** An image of stored layers, whose merged tree is given: its devices are those of the layers. */
export async function testImage(
  directoryPath: string,
  image: { readonly handles: readonly LayerHandle[]; readonly merged: ErofsDirectory },
): Promise<ViewedImage> {
  const devices = image.handles.map(({ layer }) => ({ size: layer.dataSize }));
  const { bytes } = compileErofs(image.merged, { devices });
  const path = join(directoryPath, "merged");
  await writeFile(path, bytes);
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}` as const;
  return {
    name: "registry.example/app:1",
    manifest: digest,
    layers: image.handles.map((handle) => ({ handle })),
    mergedMeta: { digest, path },
  };
}

/** The devices of layers by digest. */
export function devicesOf(layers: readonly TestLayer[]): Map<Digest, Uint8Array> {
  return new Map(layers.map(({ digest, device }) => [digest, device]));
}

/** What the two layers show together. */
export function twoLayersMerged(): ErofsDirectory {
  const linked = file(0, 3 * BLOCK);
  return directory({
    kept: file(4, 5000),
    linked,
    again: linked,
    replaced: directory({ fresh: file(0, 20, 1) }),
    both: directory({ low: file(7, 1), high: file(1, 2, 1) }, 0o711),
    big: file(8, 40 * BLOCK),
    link: { ...OWNER, mode: 0o777, type: "symlink", target: "kept" },
  });
}

/** Bytes of a device. */
export const DEVICE_SIZE: number = DEVICE_BLOCKS * BLOCK;
