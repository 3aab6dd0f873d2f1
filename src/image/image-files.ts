/**
 * The files of an image without pulling it: seekable layers through ranges, ordinary ones by reading them whole.
 *
 * @module
 */
import { type Archive, readChunks } from "../estargz/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { cleanPath, TarDecoder, type TarEntry } from "../tar/index.ts";
import type { Image, Layer } from "./image.ts";
import { type LayerTree, layerTreeFromArchive, layerTreeFromTar } from "./layer-tree.ts";
import { mergeLayers } from "./merge-layers.ts";
import { resolveInRoot } from "./merge-node.ts";
import { openLayerArchive } from "./open-layer-archive.ts";
import { findRootNode, type RootNode, type RootTree } from "./root-tree.ts";
import { streamLayerTar } from "./stream-layer-tar.ts";

/** How a layer's files are reached. */
export type LayerAccess =
  | {
      readonly kind: "seekable";
      readonly layer: Layer;
      readonly archive: Archive;
      readonly verified: boolean;
    }
  | { readonly kind: "opaque"; readonly layer: Layer; readonly reason: string };

/** An image's tree, and how to read what is in it. */
export interface ImageFiles {
  readonly tree: RootTree;
  /** Base layer first. */
  readonly layers: readonly LayerAccess[];
}

/** How to open an image's files. */
export interface OpenImageFilesOptions extends ReadOptions {
  /** Is told of each layer that has to be read whole, before it is. */
  readonly onOpaque?: ((access: LayerAccess & { readonly kind: "opaque" }) => void) | undefined;
}

/**
 * Opens the files of an image: the tables of contents of all seekable layers at once, ordinary layers from end to end.
 *
 * @throws {EsgzError} as `openLayerArchive`, `streamLayerTar` and `mergeLayers`.
 */
export async function openImageFiles(image: Image, options: OpenImageFilesOptions = {}): Promise<ImageFiles> {
  const opened = await Promise.all(image.layers.map((layer) => openLayer(layer, options)));
  return {
    tree: mergeLayers(opened.map(({ tree }) => tree)),
    layers: opened.map(({ access }) => access),
  };
}

/**
 * The node at a path of the image; symlinks are followed inside the root, the last one too unless `followLast` is false.
 *
 * @throws {EsgzError} `FILE_NOT_FOUND`
 */
export function resolveImagePath(
  { tree }: ImageFiles,
  path: string,
  options: { readonly followLast?: boolean } = {},
): { readonly path: string; readonly node: RootNode } {
  const clean = cleanPath(path);
  const direct = options.followLast === false ? findRootNode(tree, clean) : undefined;
  if (direct !== undefined) return { path: clean, node: direct };
  const { names, nodes } = resolveInRoot(tree.root, clean);
  const node = names.length === 0 ? tree.root : nodes.at(-1);
  if (node !== undefined) return { path: names.join("/"), node };
  throw new EsgzError("FILE_NOT_FOUND", `Cannot find "/${clean}": the image has no such file`);
}

/**
 * Reads a regular file of an image. Of a seekable layer only the file's own chunks are fetched, each verified before it
 * is given out; an ordinary layer is read up to the file, and its digest is not proven by that.
 *
 * @throws {EsgzError} `FILE_NOT_FOUND` if the node is no regular file; as `readChunks` and `streamLayerTar` otherwise.
 */
export async function* readImageFile(
  files: ImageFiles,
  node: RootNode,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { inode } = node;
  if (inode.type !== "reg") {
    throw new EsgzError(
      "FILE_NOT_FOUND",
      `Cannot read "${node.name}": expected a regular file, got a ${inode.type}`,
    );
  }
  const { content } = inode;
  if (content === undefined) return;
  const access = files.layers[inode.layer];
  if (access === undefined) throw new EsgzError("INTERNAL", `Cannot read "${node.name}": it has no layer`);
  if (content.kind === "tar") yield* readFromTar(access.layer, content.tarOffset, options);
  else if (access.kind === "seekable") {
    const { compression } = access.archive;
    yield* readChunks(access.layer.blob, content.chunks, { ...options, compression });
  }
}

async function openLayer(
  layer: Layer,
  options: OpenImageFilesOptions,
): Promise<{ readonly access: LayerAccess; readonly tree: LayerTree }> {
  const found = await openLayerArchive(layer, { signal: options.signal, verification: "computed" });
  if (found.kind === "seekable") {
    const { archive, verified } = found;
    return { access: { kind: "seekable", layer, archive, verified }, tree: layerTreeFromArchive(archive) };
  }
  const access = { kind: "opaque", layer, reason: found.reason } as const;
  options.onOpaque?.(access);
  return { access, tree: layerTreeFromTar(await readTarEntries(layer, options)) };
}

async function readTarEntries(layer: Layer, options: ReadOptions): Promise<TarEntry[]> {
  const decoder = new TarDecoder();
  const entries: TarEntry[] = [];
  const take = (events: ReturnType<TarDecoder["push"]>): void => {
    for (const event of events) if (event.kind === "entry") entries.push(event.entry);
  };
  for await (const piece of streamLayerTar(layer, options)) take(decoder.push(piece));
  take(decoder.finish());
  return entries;
}

/** The content of the entry whose payload begins at `tarOffset`, sparse files expanded. */
async function* readFromTar(
  layer: Layer,
  tarOffset: number,
  options: ReadOptions,
): AsyncGenerator<Uint8Array> {
  const decoder = new TarDecoder();
  let inside = false;
  for await (const piece of streamLayerTar(layer, options)) {
    for (const event of decoder.push(piece)) {
      if (event.kind === "entry") {
        if (inside) return;
        inside = event.entry.dataOffset === tarOffset;
      } else if (event.kind === "data" && inside) yield event.bytes;
    }
  }
}
