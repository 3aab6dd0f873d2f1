/**
 * What foresight finds and brings of an image, within bounds: files by their paths, each once, and their bytes.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../async/index.ts";
import type { ByteRange, ReadOptions } from "../blob/index.ts";
import { decodePathText } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { PieceLanes } from "./piece-lanes.ts";
import { endAll } from "./end-all.ts";
import type { ImageFile, ImageFiles } from "./image-files.ts";
import type { LayerFetcher } from "./layer-fetcher.ts";

/** Where files are found, and who brings them. */
export interface ForeseenFilesOptions extends ReadOptions {
  readonly files: Pick<ImageFiles, "find" | "names" | "runs">;
  readonly fetcher: Pick<LayerFetcher, "ensure">;
  readonly clock: Pick<Clock, "nowMs">;
}

/** What was foreseen. */
export interface ForeseeReport {
  readonly files: number;
  /** Their bytes, those that were there already included. */
  readonly bytes: number;
}

/** Why a file is brought. */
export interface BringOptions {
  /** It may well not be read: it is left out if it is large, and all such files together are few bytes. */
  readonly guess?: boolean | undefined;
}

/** Of larger files the beginning is foreseen: who knows better asks for the rest. */
const MAX_WHOLE = 8 << 20;
const BEGINNING = 1 << 20;
/** More than a large program, or a virtual machine with its modules: what is still larger is read here and there. */
const MAX_RESTS = 192 << 20;
/** On a slow link more is left to those who read it. */
const MOST_WHEN_SLOW = 64 << 20;
/** More than any program needs that starts fast. */
const MAX_FILES = 256;
const MAX_BYTES = 96 << 20;
/** The programs of every day are smaller. */
const MAX_GUESS = 1 << 20;
const MAX_GUESSES = 4 << 20;
const MAX_FINDS = 2048;
/** Directories of configuration have few files. */
const MAX_NAMES = 64;
/** Finding is quick, but an image may make it slow: others have their turn after so many. */
const FINDS_AT_ONCE = 16;

/** Finds files and brings them. All methods reject with the signal's reason, and with nothing else that an image can cause. */
export class ForeseenFiles {
  readonly #options: ForeseenFilesOptions;
  readonly #brought = new Map<number, Promise<boolean>>();
  readonly #rests = new Map<number, Promise<void>>();
  readonly #names = new Map<string, Promise<readonly string[]>>();
  readonly #lanes: PieceLanes;
  #finds = 0;
  #files = 0;
  #bytes = 0;
  #restBudget = MAX_RESTS;
  #restBytes = 0;
  #guessedBytes = 0;

  constructor(options: ForeseenFilesOptions) {
    this.#options = options;
    this.#lanes = new PieceLanes({ clock: options.clock, mostWhenSlow: MOST_WHEN_SLOW });
  }

  /** What was brought until now. */
  get report(): ForeseeReport {
    return { files: this.#files, bytes: this.#bytes + this.#restBytes };
  }

  /** Resolves when what travels behind other files is there. */
  async end(): Promise<void> {
    await endAll([...this.#rests.values()]);
  }

  /** The file at an absolute path; undefined if there is none, or enough was looked for. */
  async find(path: string): Promise<ImageFile | undefined> {
    return await this.#look(() => this.#options.files.find(path));
  }

  /** The first of that name in directories; those that are not absolute are left out. */
  async findIn(directories: Iterable<string>, name: string): Promise<ImageFile | undefined> {
    for (const directory of directories) {
      if (this.#finds >= MAX_FINDS) return undefined;
      const file = directory.startsWith("/") ? await this.find(`${directory}/${name}`) : undefined;
      if (file !== undefined) return file;
    }
    return undefined;
  }

  /** The paths that a pattern stands for, not more than some: a name of it that is `*` is each name in that directory. */
  async match(pattern: string): Promise<readonly string[]> {
    const [before = "", ...rest] = pattern.split("/*");
    let paths: readonly string[] = [before];
    for (const behind of rest) {
      const matched: string[] = [];
      for (const path of paths) {
        if (matched.length >= MAX_NAMES) break;
        const names = await this.names(path);
        matched.push(...names.map((name) => `${path}/${name}${behind}`));
      }
      paths = matched.slice(0, MAX_NAMES);
    }
    return paths;
  }

  /** Names in a directory, not more than some; none if there is no such directory. */
  async names(directory: string): Promise<readonly string[]> {
    const known = this.#names.get(directory);
    if (known !== undefined) return await known;
    const names = this.#look(() => this.#options.files.names(directory, MAX_NAMES)).then(
      (found) => found ?? [],
    );
    this.#names.set(directory, names);
    return await names;
  }

  /** Brings a file, each once; a large one's beginning. Whether it is there now. */
  async bring(file: ImageFile, { guess = false }: BringOptions = {}): Promise<boolean> {
    const known = this.#brought.get(file.nid);
    if (known !== undefined) return await known;
    if (this.#brought.size >= MAX_FILES || (guess && !this.#payGuess(file))) return false;
    const brought = this.#bringFirst(file);
    this.#brought.set(file.nid, brought);
    return await brought;
  }

  /**
   * Has what is left of a large file travel, once, while others are looked for; see {@linkcode ForeseenFiles.end}.
   *
   * @param ranges that are wanted of it; default all
   */
  bringRest(file: ImageFile, ranges: readonly ByteRange[] = [{ offset: 0, size: file.size }]): void {
    const wanted = behindBeginning(file, ranges);
    const size = wanted.reduce((sum, range) => sum + range.size, 0);
    if (size === 0 || this.#rests.has(file.nid) || this.#restBudget < size) return;
    this.#restBudget -= size;
    const bring = async (piece: ByteRange): Promise<void> => {
      await this.#ensure(file, piece);
      this.#restBytes += piece.size;
    };
    const brought = this.#attempt(
      async () => await endAll(wanted.map((range) => this.#lanes.bring(range, bring))),
    );
    // Told by `end()`.
    brought.catch(() => undefined);
    this.#rests.set(file.nid, brought);
  }

  /** Brings the file at a path, if there is one, and has what is left of it travel behind if it is large. */
  async bringWhole(path: string): Promise<void> {
    const file = await this.find(path);
    if (file !== undefined && (await this.bring(file))) this.bringRest(file);
  }

  /** Brings the file at a path, if there is one. */
  async bringPath(path: string, options?: BringOptions): Promise<void> {
    const file = await this.find(path);
    if (file !== undefined) await this.bring(file, options);
  }

  /** Bytes of a file, brought where they are missing: none where that fails. */
  async read(file: ImageFile, { offset, size }: ByteRange): Promise<Uint8Array> {
    const length = Math.max(0, Math.min(size, file.size - offset));
    const isBrought = offset + length <= beginningOf(file);
    if (length === 0 || !(isBrought || this.#pay(length))) return new Uint8Array(0);
    const range = { offset, size: length };
    return (await this.#attempt(() => this.#readFrom(file, range))) ?? new Uint8Array(0);
  }

  /** The beginning of a text, up to `most` bytes, of a file that is brought; undefined if it is not. */
  async readText(
    file: ImageFile,
    { most, ...options }: BringOptions & { readonly most: number },
  ): Promise<string | undefined> {
    if (!(await this.bring(file, options))) return undefined;
    return decodePathText(await this.read(file, { offset: 0, size: most }));
  }

  /** Looks something up, if not enough was looked for. */
  async #look<T>(work: () => T): Promise<T | undefined> {
    if (this.#finds >= MAX_FINDS) return undefined;
    this.#finds += 1;
    if (this.#finds % FINDS_AT_ONCE === 0) await setImmediate();
    return await this.#attempt(work);
  }

  async #bringFirst(file: ImageFile): Promise<boolean> {
    const size = beginningOf(file);
    if (!this.#pay(size)) return false;
    this.#files += 1;
    return (await this.#attempt(() => this.#ensure(file, { offset: 0, size }))) === true;
  }

  /** Whether so many bytes may still be brought. */
  #pay(bytes: number): boolean {
    if (this.#bytes + bytes > MAX_BYTES) return false;
    this.#bytes += bytes;
    return true;
  }

  #payGuess({ size }: ImageFile): boolean {
    if (size > MAX_GUESS || this.#guessedBytes + size > MAX_GUESSES) return false;
    this.#guessedBytes += size;
    return true;
  }

  async #ensure(file: ImageFile, range: ByteRange): Promise<true> {
    const { files, fetcher, signal } = this.#options;
    for (const { layer, range: onDevice } of files.runs(file, range)) {
      if (!layer.complete) await fetcher.ensure(layer, onDevice, { priority: "prefetch", signal });
    }
    return true;
  }

  async #readFrom(file: ImageFile, range: ByteRange): Promise<Uint8Array | undefined> {
    const { files, signal } = this.#options;
    await this.#ensure(file, range);
    const bytes = new Uint8Array(range.size);
    for (const { layer, fileOffset, range: onDevice } of files.runs(file, range)) {
      const found = await layer.readRange(onDevice, { signal });
      if (found.kind !== "data") return undefined;
      bytes.set(found.bytes, fileOffset - range.offset);
    }
    return bytes;
  }

  /** What work gives; undefined if it fails, unless that is because nobody wants it any more. */
  async #attempt<T>(work: () => T | Promise<T>): Promise<T | undefined> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (isEsgzError(error)) return undefined;
      throw error;
    }
  }
}

/** How much of a file is foreseen. */
function beginningOf({ size }: ImageFile): number {
  return size > MAX_WHOLE ? BEGINNING : size;
}

/** What lies in the file, and behind its beginning, of ranges. */
function behindBeginning(file: ImageFile, ranges: readonly ByteRange[]): readonly ByteRange[] {
  const begin = beginningOf(file);
  return ranges
    .map(({ offset, size }) => ({
      offset: Math.max(offset, begin),
      end: Math.min(offset + size, file.size),
    }))
    .filter(({ offset, end }) => end > offset)
    .map(({ offset, end }) => ({ offset, size: end - offset }));
}
