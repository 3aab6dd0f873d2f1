/**
 * Brings the headers that C sources include, and those that these include, whatever conditions say.
 *
 * @module
 */
import { endAll } from "./end-all.ts";
import type { ForeseenFiles } from "./foreseen-files.ts";
import type { ImageFile } from "./image-files.ts";
import type { CSources } from "./tool-starts.ts";

/** No name goes over the end of a line, whatever takes one to be there. */
const INCLUDE =
  /^[ \t]{0,64}#[ \t]{0,64}include[ \t]{0,64}(?:<([^>\n\r\u2028\u2029]{1,255})>|"([^"\n\r\u2028\u2029]{1,255})")/gm;
/** What compilers include before anything else. */
const PREDEFINED = "stdc-predef.h";
const MAX_SOURCES = 16;
/** Files, and paths that are looked for: what is left are programs and their libraries. */
const MAX_FILES = 160;
const MAX_FINDS = 768;
/** Of a longer file, who includes more does so further up. */
const MAX_TEXT = 256 << 10;

/** Reads each file once, however many commands compile it. */
export class ForeseenHeaders {
  readonly #files: ForeseenFiles;
  readonly #read = new Set<number>();
  /** Paths that were looked for. */
  readonly #known = new Set<string>();

  constructor(files: ForeseenFiles) {
    this.#files = files;
  }

  /**
   * Resolves when they are there. Rejects with the signal's reason only.
   *
   * @param absolute a path where the compiler would find it
   */
  async bringFor(sources: CSources, absolute: (path: string) => string): Promise<void> {
    const directories = await this.#directoriesOf(sources, absolute);
    const bringSource = async (name: string): Promise<void> => {
      const file = await this.#files.find(absolute(name));
      if (file !== undefined) await this.#bringIncluded(file, directories);
    };
    await endAll([
      this.#bringHeader(PREDEFINED, directories),
      ...sources.files.slice(0, MAX_SOURCES).map(bringSource),
    ]);
  }

  /** Those that there are, in their order. */
  async #directoriesOf(
    { ownHeaders, headers }: CSources,
    absolute: (path: string) => string,
  ): Promise<readonly string[]> {
    const matched: string[] = ownHeaders.map(absolute);
    for (const pattern of headers) matched.push(...(await this.#files.match(pattern)));
    const found: string[] = [];
    for (const path of matched) if ((await this.#files.names(path)).length > 0) found.push(path);
    return found;
  }

  /** Brings a file, and what it includes. */
  async #bringIncluded(file: ImageFile, directories: readonly string[]): Promise<void> {
    if (this.#read.has(file.nid) || this.#read.size >= MAX_FILES) return;
    this.#read.add(file.nid);
    const text = await this.#files.readText(file, { guess: true, most: MAX_TEXT });
    if (text === undefined) return;
    const own = file.path.slice(0, file.path.lastIndexOf("/"));
    const includes = Array.from(text.matchAll(INCLUDE), ([, system, quoted = ""]) =>
      system === undefined
        ? this.#bringHeader(quoted, [own, ...directories])
        : this.#bringHeader(system, directories),
    );
    await endAll(includes);
  }

  /** Brings the first header of that name. */
  async #bringHeader(name: string, directories: readonly string[]): Promise<void> {
    for (const directory of directories) {
      const path = `${directory}/${name}`;
      // Who looked for it first brings it, or goes on to the next directory.
      if (this.#known.has(path) || this.#known.size >= MAX_FINDS) return;
      this.#known.add(path);
      const file = await this.#files.find(path);
      if (file !== undefined) return await this.#bringIncluded(file, directories);
    }
  }
}
