/**
 * What a layer's metadata says about the layer as a whole.
 *
 * @module
 */
import { ErofsReader } from "../erofs/index.ts";
import { MetaFile } from "./meta-file.ts";

/** The root directory of a layer, and how much there is below it. */
export interface LayerRoot {
  readonly uid: number;
  readonly gid: number;
  /** Files, directories and all else, with the root. */
  readonly inodes: number;
}

/** Reads the metadata at a path: no mount is touched. @throws {EsgzError} `EROFS_INVALID`; errors of the system. */
export function readLayerRoot(metaPath: string): LayerRoot {
  return readAtRoot(metaPath, (reader) => {
    const { uid, gid } = reader.getInode(reader.rootNid);
    return { uid, gid, inodes: reader.superblock.inodeCount };
  });
}

/** What `read` finds in the metadata at a path, near its root. Errors as {@linkcode readLayerRoot}. */
export function readAtRoot<Found>(metaPath: string, read: (reader: ErofsReader) => Found): Found {
  using meta = new MetaFile(metaPath, { maxPages: 2 });
  return read(new ErofsReader(meta));
}
