/**
 * The files of an image whose layers are there, and no merged metadata: found layer by layer, as overlayfs would.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { type ErofsNodeType, ErofsReader, type ErofsSource } from "../erofs/index.ts";
import type { Layer } from "../store/index.ts";
import { deviceRuns } from "./device-runs.ts";
import type { FileFinder, FileRun, ImageFile } from "./image-files.ts";
import { readMarks } from "./overlay-names.ts";
import { walkPath } from "./walk-path.ts";

/** A layer with its metadata image. */
export interface LayerWithMeta {
  readonly layer: Layer;
  readonly meta: Uint8Array | ErofsSource;
}

/** An inode of one layer. */
interface Part {
  readonly at: number;
  readonly nid: number;
}

/** What a path leads to: of a directory all parts that are visible, the uppermost first. */
interface Place {
  readonly type: ErofsNodeType;
  readonly parts: readonly Part[];
}

/** More than node ids of one layer. */
const LAYER_STEP = 2 ** 40;

/** Finds files in the metadata of layers. */
export class LayeredFiles implements FileFinder {
  readonly #layers: readonly { readonly layer: Layer; readonly reader: ErofsReader }[];

  /**
   * @param layers the lowest first
   * @throws {EsgzError} `EROFS_INVALID`
   */
  constructor(layers: readonly LayerWithMeta[]) {
    this.#layers = layers.map(({ layer, meta }) => ({ layer, reader: new ErofsReader(meta) }));
  }

  find(path: string): ImageFile | undefined {
    const root: Place = {
      type: "dir",
      parts: this.#layers.map(({ reader }, at) => ({ at, nid: reader.rootNid })).toReversed(),
    };
    const found = walkPath<Place>(
      {
        root,
        child: (place, name) => this.#child(place, name),
        targetOf: ({ type, parts: [part] }) =>
          type === "symlink" && part !== undefined ? this.#reader(part)?.readlink(part.nid) : undefined,
      },
      path,
    );
    const [part] = found?.node.parts ?? [];
    if (found?.node.type !== "reg" || part === undefined) return undefined;
    const size = this.#reader(part)?.getInode(part.nid).size ?? 0;
    return { path: found.path, size, nid: part.at * LAYER_STEP + part.nid };
  }

  *runs({ nid }: ImageFile, range: ByteRange): Generator<FileRun, void, undefined> {
    const found = this.#layers[Math.floor(nid / LAYER_STEP)];
    if (found === undefined) return;
    const { layer, reader } = found;
    for (const { fileOffset, range: onDevice } of deviceRuns(reader, nid % LAYER_STEP, range)) {
      yield { layer, fileOffset, range: onDevice };
    }
  }

  #child({ type, parts }: Place, name: string): Place | undefined {
    if (type !== "dir") return undefined;
    const directories: Part[] = [];
    for (const { at, nid } of parts) {
      const reader = this.#layers[at]?.reader;
      const entry = reader?.lookup(nid, name);
      if (reader === undefined || entry === undefined) continue;
      if (entry.type !== "dir") {
        if (directories.length > 0) break;
        const inode = reader.getInode(entry.nid);
        const isWhiteout = inode.type === "char" && inode.major === 0 && inode.minor === 0;
        return isWhiteout ? undefined : { type: inode.type, parts: [{ at, nid: entry.nid }] };
      }
      directories.push({ at, nid: entry.nid });
      if (readMarks(reader.xattrs(entry.nid)).opaque) break;
    }
    return directories.length === 0 ? undefined : { type: "dir", parts: directories };
  }

  #reader({ at }: Part): ErofsReader | undefined {
    return this.#layers[at]?.reader;
  }
}
