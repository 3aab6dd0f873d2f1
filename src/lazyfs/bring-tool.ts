/**
 * Brings what compilers and virtual machines start and read.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";
import { endAll } from "./end-all.ts";
import type { ForeseenFiles } from "./foreseen-files.ts";
import type { ImageFile } from "./image-files.ts";
import type { CSources, ToolStart } from "./tool-starts.ts";

/** How to bring it. */
export interface BringToolOptions {
  /** A path where the program would find it. */
  readonly absolute: (path: string) => string;
  /** Brings what starting a program reads. */
  readonly start: (program: string) => Promise<void>;
}

const INCLUDE = /^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")/gm;
/** What compilers include before anything else. */
const PREDEFINED = "stdc-predef.h";
const MAX_HEADERS = 192;
const MAX_SOURCES = 16;
/** Of a longer file, who includes more does so further up. */
const MAX_TEXT = 256 << 10;
const GUESS = { guess: true };

/** Resolves when all of it is there that could be found and brought. Rejects with the signal's reason only. */
export async function bringTool(
  files: ForeseenFiles,
  { starts, whole = [], files: small = [], sources }: ToolStart,
  { absolute, start }: BringToolOptions,
): Promise<void> {
  const each = (patterns: readonly string[], bring: (path: string) => Promise<void>): Promise<void>[] =>
    patterns.map(async (pattern) => await endAll((await files.match(pattern)).map(bring)));
  await endAll([
    ...each(starts, start),
    ...(sources === undefined ? [] : [new Headers(files, absolute).bringFor(sources)]),
    ...each(whole, async (path) => await files.bringWhole(absolute(path))),
    ...each(small, async (path) => await files.bringPath(path, GUESS)),
  ]);
}

/** The headers that sources include, and those that these include, whatever conditions say. */
class Headers {
  readonly #files: ForeseenFiles;
  readonly #absolute: (path: string) => string;
  /** By what asks for them: a directory or none, and the name. */
  readonly #known = new Set<string>();

  constructor(files: ForeseenFiles, absolute: (path: string) => string) {
    this.#files = files;
    this.#absolute = absolute;
  }

  async bringFor({ files: sources, headers }: CSources): Promise<void> {
    const matched = await Promise.all(headers.map((each) => this.#files.match(this.#absolute(each))));
    const directories = matched.flat();
    const bringSource = async (name: string): Promise<void> => {
      const file = await this.#files.find(this.#absolute(name));
      if (file !== undefined) await this.#bringIncluded(file, directories);
    };
    await endAll([
      this.#bringHeader(PREDEFINED, directories),
      ...sources.slice(0, MAX_SOURCES).map(bringSource),
    ]);
  }

  /** Brings a file, and what it includes. */
  async #bringIncluded(file: ImageFile, directories: readonly string[]): Promise<void> {
    if (!(await this.#files.bring(file, GUESS))) return;
    const text = decodePathText(await this.#files.read(file, { offset: 0, size: MAX_TEXT }));
    const own = file.path.slice(0, file.path.lastIndexOf("/"));
    const includes = Array.from(text.matchAll(INCLUDE), ([, system, quoted = ""]) =>
      system === undefined
        ? this.#bringHeader(quoted, directories, own)
        : this.#bringHeader(system, directories),
    );
    await endAll(includes);
  }

  async #bringHeader(name: string, directories: readonly string[], own?: string): Promise<void> {
    const key = `${own ?? ""}\0${name}`;
    if (this.#known.has(key) || this.#known.size >= MAX_HEADERS) return;
    this.#known.add(key);
    const file = await this.#files.findIn(own === undefined ? directories : [own, ...directories], name);
    if (file !== undefined) await this.#bringIncluded(file, directories);
  }
}
