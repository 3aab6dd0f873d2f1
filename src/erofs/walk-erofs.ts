/**
 * All paths of an image.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { ErofsReader } from "./erofs-reader.ts";

/** A name in an image. */
export interface ErofsWalkEntry {
  /** Without a leading slash; the root is `""`. */
  readonly path: string;
  readonly nid: number;
}

/**
 * All names of an image, parents first, directories in byte order. Hard links come once for each name.
 *
 * @throws {EsgzError} `EROFS_INVALID` for a directory that is reachable twice, so a loop ends.
 */
export function* walkErofs(reader: ErofsReader): Generator<ErofsWalkEntry> {
  const root: ErofsWalkEntry = { path: "", nid: reader.rootNid };
  const seen = new Set([root.nid]);
  const waiting = [root];
  yield root;
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    const subdirectories: ErofsWalkEntry[] = [];
    for (const { entry, isDirectory } of childrenOf(reader, directory)) {
      yield entry;
      if (!isDirectory) continue;
      if (seen.has(entry.nid))
        throw invalid(entry.path, "directories with one name each", "one that is reachable twice");
      seen.add(entry.nid);
      subdirectories.push(entry);
    }
    for (const subdirectory of subdirectories.reverse()) waiting.push(subdirectory);
  }
}

function* childrenOf(
  reader: ErofsReader,
  directory: ErofsWalkEntry,
): Generator<{ readonly entry: ErofsWalkEntry; readonly isDirectory: boolean }> {
  for (const { nameBytes, nid, type } of reader.readdir(directory.nid)) {
    const name = decodePathText(nameBytes);
    if (name === "." || name === "..") continue;
    const path = directory.path === "" ? name : `${directory.path}/${name}`;
    const found = reader.getInode(nid).type;
    if (found !== type) throw invalid(path, `the type ${type} of its entry`, found);
    yield { entry: { path, nid }, isDirectory: type === "dir" };
  }
}

function invalid(path: string, wanted: string, found: string): EsgzError {
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot walk to ${JSON.stringify(path)}: expected ${wanted}, got ${found}`,
  );
}
