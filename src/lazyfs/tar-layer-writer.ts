/**
 * A tar that is read once, as what the store keeps of a layer.
 *
 * @module
 */
import { DevicePlan, type ErofsExtent } from "../erofs/index.ts";
import { layerEntryFromTar } from "../image/index.ts";
import { type SparseSegment, TarDecoder, type TarEntry, type TarEvent } from "../tar/index.ts";
import { compileLayer, type CompileLayerOptions, type LayerMeta } from "./compile-layer.ts";
import { DataWriter } from "./data-writer.ts";
import { LayerTree } from "./layer-tree.ts";
import type { LayerTreeEntry } from "./layer-tree-nodes.ts";
import { placeFile, type PlacedFile } from "./place-file.ts";

/** A layer whose bytes lie in the file. */
export interface WrittenLayer extends LayerMeta {
  readonly meta: Uint8Array<ArrayBuffer>;
  /** The size of the data device in bytes, a multiple of 4096. */
  readonly dataSize: number;
  /** The chunks in the file, as `decodeStagedRows()` reads them. */
  readonly rows: Uint8Array<ArrayBuffer>;
}

/** Files of seekable layers that say something to readers of layers and nothing to users of images. */
const LANDMARKS: readonly string[] = [".prefetch.landmark", ".no.prefetch.landmark"];
/** The table of contents, which is the last file of a tar that has one. */
const TOC_NAME = "stargz.index.json";

/** Writes the contents of a tar's files to a data device, in the order of the tar, and keeps the rest as a tree. */
export class TarLayerWriter {
  readonly #decoder = new TarDecoder({ sparse: "raw" });
  readonly #plan = new DevicePlan();
  readonly #tree = new LayerTree();
  readonly #data: DataWriter;
  #content: FileContent | undefined;
  /** The file of the name of a table of contents, while nothing has followed it. */
  #suspect: { readonly entry: LayerTreeEntry; readonly extents: readonly ErofsExtent[] } | undefined;

  /** @param fd the file of the data device, empty; stays its owner's */
  constructor(fd: number) {
    this.#data = new DataWriter(fd);
  }

  /** Bytes that were written to the file so far. */
  get written(): number {
    return this.#data.written;
  }

  /**
   * Takes the next bytes of the tar.
   *
   * @throws {EsgzError} `TAR_INVALID`, `PATH_INVALID`, `LIMIT_EXCEEDED`; what writing to the file throws
   */
  push(bytes: Uint8Array): void {
    for (const event of this.#decoder.push(bytes)) this.#take(event);
  }

  /**
   * Ends the tar. To be called once.
   *
   * @throws {EsgzError} also `EROFS_INVALID` for what no inode can hold
   */
  finish(options: CompileLayerOptions = {}): WrittenLayer {
    for (const event of this.#decoder.finish()) this.#take(event);
    const rows = this.#data.finish();
    const dataSize = this.#plan.size;
    const { meta, skippedXattrs } = compileLayer(this.#tree, {
      linksBelow: true,
      ...options,
      dataSize,
    });
    return { meta: new Uint8Array(meta), skippedXattrs, dataSize, rows };
  }

  #take(event: TarEvent): void {
    if (event.kind === "entry") this.#begin(event.entry);
    else if (event.kind === "data") this.#content?.write(event.bytes);
  }

  #begin(tarEntry: TarEntry): void {
    this.#data.endChunk();
    this.#content = undefined;
    this.#addSuspect();
    const entry = detached(layerEntryFromTar(tarEntry));
    if (LANDMARKS.includes(entry.path)) return;
    const extents = this.#place(tarEntry);
    if (entry.path === TOC_NAME && entry.type === "reg") this.#suspect = { entry, extents };
    else this.#tree.add(entry, extents);
  }

  #place({ type, size, sparse }: TarEntry): readonly ErofsExtent[] {
    if (type !== "reg" || size === 0) return [];
    const stored = sparse ?? [{ offset: 0, size }];
    const places = placeFile(this.#plan, { size, stored });
    this.#content = new FileContent(this.#data, { places, segments: stored });
    return places.extents;
  }

  /** What looked like a table of contents is a file like others if something follows it. */
  #addSuspect(): void {
    if (this.#suspect === undefined) return;
    this.#tree.add(this.#suspect.entry, this.#suspect.extents);
    this.#suspect = undefined;
  }
}

/** The stored bytes of one file. */
class FileContent {
  readonly #data: DataWriter;
  readonly #places: PlacedFile;
  readonly #segments: readonly SparseSegment[];
  #segment = 0;
  #done = 0;

  constructor(
    data: DataWriter,
    options: { readonly places: PlacedFile; readonly segments: readonly SparseSegment[] },
  ) {
    this.#data = data;
    this.#places = options.places;
    this.#segments = options.segments;
  }

  write(bytes: Uint8Array): void {
    for (let taken = 0; taken < bytes.length;) {
      const segment = this.#segments[this.#segment];
      if (segment === undefined) return;
      const size = Math.min(bytes.length - taken, segment.size - this.#done);
      const place = this.#places.placeOf(segment.offset + this.#done);
      this.#data.write(place, bytes.subarray(taken, taken + size));
      taken += size;
      this.#done += size;
      if (this.#done < segment.size) continue;
      this.#segment += 1;
      this.#done = 0;
    }
  }
}

/** An entry that keeps nothing of the tar's memory alive. */
function detached(entry: LayerTreeEntry): LayerTreeEntry {
  if (entry.xattrs.size === 0) return entry;
  return { ...entry, xattrs: new Map(Array.from(entry.xattrs, ([name, value]) => [name, value.slice()])) };
}
