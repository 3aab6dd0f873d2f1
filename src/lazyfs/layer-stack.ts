/**
 * The metadata of layers as one tree, read as overlayfs would show it: an upper name hides a lower one, directories over
 * directories show what is in both.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import { type ErofsNodeType, ErofsReader, type ErofsSource } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { PathTree } from "../image/index.ts";
import { readLinkMark, readMarks } from "./overlay-names.ts";
import { walkPath } from "./walk-path.ts";

/** An inode of one layer. */
export interface LayerPart {
  /** The layer, counted from the lowest, which is 0. */
  readonly layer: number;
  readonly nid: number;
}

/** What a path leads to: of a directory all parts that are visible, the uppermost first; else one part. */
export interface LayerPlace {
  readonly type: ErofsNodeType;
  readonly parts: readonly LayerPart[];
}

/** How to read layers. */
export interface LayerStackOptions {
  /** The most names that are looked up in all; no bound if absent. */
  readonly maxLookups?: number | undefined;
}

/** A place, or a hard link to a file of a layer below. */
interface Entry extends LayerPlace {
  /** The path of that file. */
  readonly link?: string | undefined;
}

/** Reads layers. Nothing of them is kept but their superblocks. */
export class LayerStack implements PathTree<LayerPlace> {
  readonly root: LayerPlace;
  readonly #readers: readonly ErofsReader[];
  readonly #maxLookups: number;
  #lookups = 0;
  /** Most hard links lead to where the one before them led. */
  #lastDirectory: { readonly layer: number; readonly path: string; readonly place: LayerPlace } | undefined;

  /**
   * @param metas the metadata images, the lowest first
   * @throws {EsgzError} `EROFS_INVALID`
   */
  constructor(metas: readonly (Uint8Array | ErofsSource)[], options: LayerStackOptions = {}) {
    this.#readers = metas.map((meta) => new ErofsReader(meta));
    this.#maxLookups = options.maxLookups ?? Infinity;
    this.root = this.#rootBelow(metas.length);
  }

  /** The metadata of a layer. */
  reader(layer: number): ErofsReader {
    const reader = this.#readers[layer];
    if (reader !== undefined) return reader;
    throw new EsgzError("INTERNAL", `Cannot read layer ${layer}: expected its metadata, got none`);
  }

  /** A name in a directory; hard links to files of layers below are not followed, and nothing. @throws {EsgzError} `EROFS_INVALID` */
  child(place: LayerPlace, name: string): LayerPlace | undefined {
    const entry = this.#entry(place, name);
    return entry?.link === undefined ? entry : undefined;
  }

  targetOf({ type, parts: [part] }: LayerPlace): string | undefined {
    if (type !== "symlink" || part === undefined) return undefined;
    return this.reader(part.layer).readlink(part.nid);
  }

  /**
   * The file that a hard link of a layer means, as those find it who unpack layers one over the other: symlinks on the way are
   * followed, the last name is not.
   *
   * @param path of the file, in the layers below
   * @throws {EsgzError} `TAR_INVALID` if there is no file; `LIMIT_EXCEEDED`, `EROFS_INVALID`
   */
  findLinked(layer: number, path: string): LayerPart & { readonly type: ErofsNodeType } {
    let top = layer;
    for (let target: string | undefined = path; target !== undefined;) {
      const found: Entry | undefined = this.#entryBelow(top, target);
      const part: LayerPart | undefined = found?.parts[0];
      if (found === undefined || part === undefined) throw badLink(path, "nothing");
      if (found.type === "dir") throw badLink(path, "a directory");
      if (found.link === undefined) return { ...part, type: found.type };
      // That file is a link itself, to one further down: this ends at the lowest layer.
      [top, target] = [part.layer, found.link];
    }
    throw badLink(path, "nothing");
  }

  #entryBelow(layer: number, path: string): Entry | undefined {
    const slash = path.lastIndexOf("/");
    const directory = this.#directoryBelow(layer, path.slice(0, Math.max(slash, 0)));
    return directory && this.#entry(directory, path.slice(slash + 1));
  }

  #directoryBelow(layer: number, path: string): LayerPlace | undefined {
    const last = this.#lastDirectory;
    if (last?.layer === layer && last.path === path) return last.place;
    const tree: PathTree<LayerPlace> = {
      root: this.#rootBelow(layer),
      child: (place, name) => this.child(place, name),
      targetOf: (place) => this.targetOf(place),
    };
    const found = walkPath(tree, path)?.node;
    if (found !== undefined) this.#lastDirectory = { layer, path, place: found };
    return found;
  }

  #rootBelow(end: number): LayerPlace {
    const parts = this.#readers.slice(0, end).map(({ rootNid: nid }, layer) => ({ layer, nid }));
    return { type: "dir", parts: parts.toReversed() };
  }

  #entry({ type, parts }: LayerPlace, name: string): Entry | undefined {
    if (type !== "dir") return undefined;
    const directories: LayerPart[] = [];
    const nameBytes = encodePathText(name);
    for (const [at, { layer, nid }] of parts.entries()) {
      this.#count();
      const reader = this.reader(layer);
      const entry = reader.lookup(nid, nameBytes);
      if (entry === undefined) continue;
      const part = { layer, nid: entry.nid };
      if (entry.type !== "dir") {
        if (directories.length === 0) return this.#file(part);
        break;
      }
      directories.push(part);
      // What has nothing below it hides nothing.
      if (at + 1 < parts.length && readMarks(reader.xattrs(entry.nid)).opaque) break;
    }
    return directories.length === 0 ? undefined : { type: "dir", parts: directories };
  }

  /** What is no directory; undefined for a whiteout. */
  #file(part: LayerPart): Entry | undefined {
    const reader = this.reader(part.layer);
    const { type, major, minor } = reader.getInode(part.nid);
    if (type !== "char" || major !== 0 || minor !== 0) return { type, parts: [part] };
    const link = readLinkMark(reader.xattrs(part.nid));
    return link === undefined ? undefined : { type, parts: [part], link };
  }

  #count(): void {
    this.#lookups += 1;
    if (this.#lookups <= this.#maxLookups) return;
    const text = `Cannot follow hard links into layers below: expected at most ${this.#maxLookups} names to look up, got more`;
    throw new EsgzError("LIMIT_EXCEEDED", text);
  }
}

function badLink(path: string, found: string): EsgzError {
  const shown = path.length > 200 ? `${path.slice(0, 200)}...` : path;
  return new EsgzError(
    "TAR_INVALID",
    `Cannot follow hard link to "${shown}": expected a file in its layer or one below, got ${found}`,
  );
}
