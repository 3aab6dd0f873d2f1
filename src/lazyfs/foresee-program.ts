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
import type { ReadOptions } from "../blob/index.ts";
import { decodePathText } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import type { ImageFile, ImageFiles } from "./image-files.ts";
import { type ElfNeeds, readElfNeeds } from "./elf-needs.ts";
import type { LayerFetcher } from "./layer-fetcher.ts";
import { startFilesOf } from "./start-files.ts";

/** What will be started, and where to look for it. */
export interface ForeseeOptions extends ReadOptions {
  readonly files: ImageFiles;
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
 * @throws {EsgzError} `EROFS_INVALID` for metadata that is damaged; the signal's reason. What cannot be fetched is left to
 * whoever reads it.
 */
export async function foreseeProgram(options: ForeseeOptions): Promise<ForeseeReport> {
  return await new Foresight(options).run();
}

class Foresight {
  readonly #options: ForeseeOptions;
  readonly #variables: ReadonlyMap<string, string>;
  readonly #seen = new Set<number>();
  #bytes = 0;

  constructor(options: ForeseeOptions) {
    this.#options = options;
    this.#variables = new Map(
      options.env.map((entry) => [entry.split("=", 1)[0] ?? "", entry.slice(entry.indexOf("=") + 1)]),
    );
  }

  async run(): Promise<ForeseeReport> {
    const always = ALWAYS.map(async (path) => await this.#bring(this.#options.files.find(path)));
    await Promise.all([...always, this.#startCommand(this.#options.command, 0)]);
    return { files: this.#seen.size, bytes: this.#bytes };
  }

  async #startCommand(words: readonly string[], scripts: number): Promise<void> {
    const file = this.#findProgram(words[0] ?? "");
    if (file === undefined || scripts > MAX_SCRIPTS || !(await this.#bring(file))) return;
    const line = await this.#read(file, { offset: 0, size: SCRIPT_LINE });
    const interpreter = interpreterOf(line);
    if (interpreter !== undefined) {
      // `env NAME` starts NAME.
      const next = interpreter[0]?.endsWith("/env") === true ? interpreter.slice(1) : interpreter;
      const both = [interpreter, ...(next === interpreter ? [] : [next])];
      await Promise.all(both.map((each) => this.#startCommand(each, scripts + 1)));
      return;
    }
    const more = startFilesOf(file.path).map((path) => this.#options.files.find(path));
    await Promise.all([this.#linkElf(file), ...more.map((each) => this.#bring(each))]);
  }

  #findProgram(name: string): ImageFile | undefined {
    const { files, workdir = "/" } = this.#options;
    if (name.includes("/")) return files.find(`${workdir}/${name.startsWith("/") ? `/${name}` : name}`);
    for (const directory of (this.#variables.get("PATH") ?? "").split(":")) {
      const file = directory.startsWith("/") ? files.find(`${directory}/${name}`) : undefined;
      if (file !== undefined) return file;
    }
    return undefined;
  }

  /** Brings what a file on the disk by now is linked with. */
  async #linkElf(file: ImageFile): Promise<void> {
    const needs = await readElfNeeds((offset, size) => this.#read(file, { offset, size }));
    if (needs === undefined) return;
    const loader = needs.interpreter === undefined ? undefined : this.#options.files.find(needs.interpreter);
    const libraries = needs.libraries.map((name) => this.#findLibrary(name, { needs, user: file }));
    await Promise.all([
      this.#bring(loader),
      ...libraries.map(async (library) => {
        if (library !== undefined && (await this.#bring(library))) await this.#linkElf(library);
      }),
    ]);
  }

  #findLibrary(
    name: string,
    { needs, user }: { readonly needs: ElfNeeds; readonly user: ImageFile },
  ): ImageFile | undefined {
    const { files } = this.#options;
    if (name.includes("/")) return name.startsWith("/") ? files.find(name) : undefined;
    const origin = user.path.slice(0, user.path.lastIndexOf("/"));
    const own = needs.searchPath.map((directory) => directory.replace(/\$(?:ORIGIN|\{ORIGIN\})/, origin));
    const triplet = MULTIARCH[needs.machine];
    const usual = [triplet === undefined ? [] : [`/lib/${triplet}`, `/usr/lib/${triplet}`], LIBRARIES].flat();
    const given = (this.#variables.get("LD_LIBRARY_PATH") ?? "").split(":");
    for (const directory of [...given, ...own, ...usual]) {
      const file = directory.startsWith("/") ? files.find(`${directory}/${name}`) : undefined;
      if (file !== undefined) return file;
    }
    return undefined;
  }

  /** Brings a file, each once. False if there is none, it was brought before, or could not be brought. */
  async #bring(file: ImageFile | undefined): Promise<boolean> {
    if (file === undefined || this.#seen.has(file.nid) || this.#seen.size >= MAX_FILES) return false;
    this.#seen.add(file.nid);
    const size = file.size > MAX_WHOLE ? BEGINNING : file.size;
    if (this.#bytes + size > MAX_BYTES) return false;
    this.#bytes += size;
    return await this.#ensure(file, { offset: 0, size });
  }

  async #ensure(
    file: ImageFile,
    range: { readonly offset: number; readonly size: number },
  ): Promise<boolean> {
    const { files, fetcher, signal } = this.#options;
    try {
      for (const { layer, range: onDevice } of files.runs(file, range)) {
        if (!layer.complete) await fetcher.ensure(layer, onDevice, { priority: "prefetch", signal });
      }
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      if (isEsgzError(error)) return false;
      throw error;
    }
  }

  /** Bytes of a file, brought where they are missing: none where that fails. */
  async #read(
    file: ImageFile,
    { offset, size }: { readonly offset: number; readonly size: number },
  ): Promise<Uint8Array> {
    const length = Math.max(0, Math.min(size, file.size - offset));
    const bytes = new Uint8Array(length);
    if (length === 0 || !(await this.#ensure(file, { offset, size: length }))) return new Uint8Array(0);
    for (const { layer, fileOffset, range } of this.#options.files.runs(file, { offset, size: length })) {
      const found = await layer.readRange(range, { signal: this.#options.signal });
      if (found.kind !== "data") return new Uint8Array(0);
      bytes.set(found.bytes, fileOffset - offset);
    }
    return bytes;
  }
}

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
