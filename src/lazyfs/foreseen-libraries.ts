/**
 * Brings what the loader will look for: itself, and the libraries that a program names, with those that they name.
 *
 * @module
 */
import { endAll } from "./end-all.ts";
import { type ElfNeeds, readElfNeeds } from "./elf-needs.ts";
import type { BringOptions, ForeseenFiles } from "./foreseen-files.ts";
import type { ImageFile } from "./image-files.ts";
import { TRIPLETS } from "./multiarch.ts";
import { startFilesOf } from "./start-files.ts";

const ORIGIN = /^\$(?:ORIGIN|\{ORIGIN\})/;
const LIBRARIES = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];

/** Brings the libraries of programs, each once. */
export class ForeseenLibraries {
  readonly #files: ForeseenFiles;
  readonly #first: readonly string[];
  /** Files that were looked at, and whether that was more than a guess: then nothing was left out. */
  readonly #linked = new Map<number, boolean>();

  /** @param first directories that are looked in first, as `LD_LIBRARY_PATH` has them */
  constructor(files: ForeseenFiles, first: readonly string[]) {
    this.#files = files;
    this.#first = first;
  }

  /** Brings what a file is linked with: nothing if it is no ELF file. Rejects with the signal's reason. */
  async bringFor(file: ImageFile, options: BringOptions): Promise<void> {
    const isSure = options.guess !== true;
    const before = this.#linked.get(file.nid);
    if (before === true || before === isSure) return;
    this.#linked.set(file.nid, isSure);
    const needs = await readElfNeeds((offset, size) => this.#files.read(file, { offset, size }));
    if (needs === undefined) return;
    // The loader puts addresses right all over the file. What is known to be needed next goes before it.
    if (isSure) this.#files.bringRest(file);
    const { interpreter, libraries } = needs;
    await endAll([
      ...(interpreter === undefined ? [] : [this.#files.bringPath(interpreter, options)]),
      ...libraries.map(async (name) => {
        const library = await this.#find(name, { needs, user: file });
        if (library !== undefined && (await this.#files.bring(library, options))) {
          await endAll([this.bringFor(library, options), ...this.#filesOf(library)]);
        }
      }),
    ]);
  }

  #filesOf({ path }: ImageFile): readonly Promise<void>[] {
    return startFilesOf(path).map((each) => this.#files.bringPath(each, { guess: true }));
  }

  async #find(
    name: string,
    { needs, user }: { readonly needs: ElfNeeds; readonly user: ImageFile },
  ): Promise<ImageFile | undefined> {
    if (name.includes("/")) return name.startsWith("/") ? await this.#files.find(name) : undefined;
    const origin = user.path.slice(0, user.path.lastIndexOf("/"));
    const own = needs.searchPath.map((directory) => directory.replace(ORIGIN, () => origin));
    const triplet = TRIPLETS[needs.machine];
    const usual = [triplet === undefined ? [] : [`/lib/${triplet}`, `/usr/lib/${triplet}`], LIBRARIES].flat();
    return await this.#files.findIn([...this.#first, ...own, ...usual], name);
  }
}
