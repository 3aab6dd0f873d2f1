/**
 * Brings what starting a program will read, before it is read.
 *
 * ```text
 * program ── links, PATH ── the file ──┬── "#!" ── the interpreter, and so on
 *                                      └── ELF ──┬── the loader and its cache
 *                                                └── libraries ── their libraries
 * ```
 *
 * A process reads these one after the other, and waits a round trip for each. Here all that is known is asked for at once. It is
 * a guess: what it misses is read as always, and what it brings in vain costs a little of the link.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { ByteRange, ReadOptions } from "../blob/index.ts";
import { decodePathText } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import type { FileFinder, ImageFile } from "./image-files.ts";
import { type ElfNeeds, readElfNeeds } from "./elf-needs.ts";
import type { LayerFetcher } from "./layer-fetcher.ts";
import { startFilesOf } from "./start-files.ts";

/** What will be started, and where to look for it. */
export interface ForeseeOptions extends ReadOptions {
  readonly files: FileFinder;
  readonly fetcher: Pick<LayerFetcher, "ensure">;
  /** The words of the command; the first is a path or a name. */
  readonly command: readonly string[];
  /** Variables of the process, `NAME=value`. */
  readonly env: readonly string[];
  /** Where it starts. */
  readonly workdir?: string | undefined;
}

/** What was foreseen. */
export interface ForeseeReport {
  readonly files: number;
  /** Their bytes, those that were there already included. */
  readonly bytes: number;
}

/** What the first process of nearly every container reads, whatever it is. */
const ALWAYS = ["/etc/ld.so.cache", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"];
/** Larger files are read here and there: only their beginning is foreseen. */
const MAX_WHOLE = 8 << 20;
const BEGINNING = 1 << 20;
/** More than any program needs that starts fast. */
const MAX_FILES = 256;
const MAX_BYTES = 96 << 20;
const MAX_FINDS = 2048;
/** Finding is quick, but an image may make it slow: others have their turn after so many. */
const FINDS_AT_ONCE = 16;
const MAX_SCRIPTS = 4;
const SCRIPT_LINE = 256;

/** Debian's names for the directories of a machine's libraries, by `e_machine`. */
const MULTIARCH: Readonly<Record<number, string>> = {
  3: "i386-linux-gnu",
  21: "powerpc64le-linux-gnu",
  22: "s390x-linux-gnu",
  40: "arm-linux-gnueabihf",
  62: "x86_64-linux-gnu",
  183: "aarch64-linux-gnu",
  243: "riscv64-linux-gnu",
};

/**
 * Brings the files that starting a command reads first. Resolves when all are there.
 *
 * What cannot be found or fetched, for whatever reason, is left to whoever reads it.
 *
 * @throws the signal's reason, when all work has ended
 */
export async function foreseeProgram(options: ForeseeOptions): Promise<ForeseeReport> {
  return await new Foresight(options).run();
}

class Foresight {
  readonly #options: ForeseeOptions;
  readonly #variables: ReadonlyMap<string, string>;
  readonly #seen = new Set<number>();
  #finds = 0;
  #files = 0;
  #bytes = 0;

  constructor(options: ForeseeOptions) {
    this.#options = options;
    this.#variables = new Map(
      options.env
        .filter((entry) => entry.includes("="))
        .map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
    );
  }

  async run(): Promise<ForeseeReport> {
    const always = ALWAYS.map((path) => this.#bringPath(path));
    await endAll([...always, this.#startCommand(this.#options.command, 0)]);
    return { files: this.#files, bytes: this.#bytes };
  }

  async #startCommand(words: readonly string[], scripts: number): Promise<void> {
    if (scripts > MAX_SCRIPTS) return;
    const file = await this.#findProgram(words[0] ?? "");
    if (file === undefined || !(await this.#bring(file))) return;
    const line = await this.#read(file, { offset: 0, size: SCRIPT_LINE });
    const interpreter = interpreterOf(line);
    if (interpreter !== undefined) {
      const both = [interpreter, startedByEnv(interpreter)];
      await endAll(both.map((each) => this.#startCommand(each, scripts + 1)));
      return;
    }
    await endAll([this.#linkElf(file), ...startFilesOf(file.path).map((path) => this.#bringPath(path))]);
  }

  async #findProgram(name: string): Promise<ImageFile | undefined> {
    const { workdir = "/" } = this.#options;
    if (name === "") return undefined;
    if (name.includes("/")) return await this.#find(name.startsWith("/") ? name : `${workdir}/${name}`);
    return await this.#findIn(this.#listOf("PATH"), name);
  }

  /** Brings what a file on the disk by now is linked with. */
  async #linkElf(file: ImageFile): Promise<void> {
    const needs = await readElfNeeds((offset, size) => this.#read(file, { offset, size }));
    if (needs === undefined) return;
    const { interpreter, libraries } = needs;
    await endAll([
      ...(interpreter === undefined ? [] : [this.#bringPath(interpreter)]),
      ...libraries.map(async (name) => {
        const library = await this.#findLibrary(name, { needs, user: file });
        if (library !== undefined && (await this.#bring(library))) await this.#linkElf(library);
      }),
    ]);
  }

  async #findLibrary(
    name: string,
    { needs, user }: { readonly needs: ElfNeeds; readonly user: ImageFile },
  ): Promise<ImageFile | undefined> {
    if (name.includes("/")) return name.startsWith("/") ? await this.#find(name) : undefined;
    const origin = user.path.slice(0, user.path.lastIndexOf("/"));
    const own = needs.searchPath.map((directory) => directory.replace(ORIGIN, () => origin));
    const triplet = MULTIARCH[needs.machine];
    const usual = [triplet === undefined ? [] : [`/lib/${triplet}`, `/usr/lib/${triplet}`], LIBRARIES].flat();
    return await this.#findIn([...this.#listOf("LD_LIBRARY_PATH"), ...own, ...usual], name);
  }

  /** The directories in a variable. */
  #listOf(name: string): readonly string[] {
    return (this.#variables.get(name) ?? "").split(":", MAX_FINDS);
  }

  async #findIn(directories: readonly string[], name: string): Promise<ImageFile | undefined> {
    for (const directory of directories) {
      const file = directory.startsWith("/") ? await this.#find(`${directory}/${name}`) : undefined;
      if (file !== undefined) return file;
    }
    return undefined;
  }

  async #find(path: string): Promise<ImageFile | undefined> {
    if (this.#finds >= MAX_FINDS) return undefined;
    this.#finds += 1;
    if (this.#finds % FINDS_AT_ONCE === 0) await setImmediate();
    return await this.#attempt(() => this.#options.files.find(path));
  }

  async #bringPath(path: string): Promise<void> {
    await this.#bring(await this.#find(path));
  }

  /** Brings a file, each once. False if there is none, it was brought before, or could not be brought. */
  async #bring(file: ImageFile | undefined): Promise<boolean> {
    if (file === undefined || this.#seen.has(file.nid) || this.#seen.size >= MAX_FILES) return false;
    this.#seen.add(file.nid);
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

  async #ensure(file: ImageFile, range: ByteRange): Promise<true> {
    const { files, fetcher, signal } = this.#options;
    for (const { layer, range: onDevice } of files.runs(file, range)) {
      if (!layer.complete) await fetcher.ensure(layer, onDevice, { priority: "prefetch", signal });
    }
    return true;
  }

  /** Bytes of a file, brought where they are missing: none where that fails. */
  async #read(file: ImageFile, { offset, size }: ByteRange): Promise<Uint8Array> {
    const length = Math.max(0, Math.min(size, file.size - offset));
    const isBrought = offset + length <= beginningOf(file);
    if (length === 0 || !(isBrought || this.#pay(length))) return new Uint8Array(0);
    const range = { offset, size: length };
    return (await this.#attempt(() => this.#readFrom(file, range))) ?? new Uint8Array(0);
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

/** Ends all work, then rejects as the first that failed: nothing goes on with layers that were given back. */
async function endAll(work: readonly Promise<void>[]): Promise<void> {
  const settled = await Promise.allSettled(work);
  for (const each of settled) if (each.status === "rejected") throw each.reason;
}

/** How much of a file is foreseen. */
function beginningOf({ size }: ImageFile): number {
  return size > MAX_WHOLE ? BEGINNING : size;
}

const ORIGIN = /^\$(?:ORIGIN|\{ORIGIN\})/;
const LIBRARIES = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];

/** The words of a script's first line; undefined if it is none. */
function interpreterOf(line: Uint8Array): readonly string[] | undefined {
  if (line[0] !== 0x23 || line[1] !== 0x21) return undefined;
  const end = line.indexOf(0x0a);
  const words = decodePathText(line.subarray(2, end < 0 ? line.length : end))
    .trim()
    .split(/[ \t]+/);
  return words[0] === "" ? undefined : words;
}

/** What `env [-S] [NAME=value...] COMMAND` starts; nothing for other interpreters. */
function startedByEnv([interpreter, ...words]: readonly string[]): readonly string[] {
  if (interpreter?.endsWith("/env") !== true) return [];
  const at = words.findIndex((word) => !word.startsWith("-") && !word.includes("="));
  return at < 0 ? [] : words.slice(at);
}
