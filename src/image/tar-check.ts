/**
 * Whether a table of contents and its tar describe the same files, while the tar passes by.
 *
 * @module
 */
import { EsgzError, messageOf } from "../errors/index.ts";
import type { Archive } from "../estargz/index.ts";
import { cleanPath, TarDecoder, type TarEntry } from "../tar/index.ts";
import { compareEntry } from "./compare-entry.ts";
import { ContentCheck } from "./content-check.ts";
import type { LayerReportBuilder } from "./layer-report.ts";

/** Files that eStargz itself puts into the tar. */
const OWN_FILES = new Set(["stargz.index.json", ".prefetch.landmark", ".no.prefetch.landmark"]);
const NO_DIFFERENCES: readonly string[] = [];

/** Takes the tar's bytes in order. Of entries with the same path the last one counts, as it does when unpacked. */
export class TarCheck {
  readonly #archive: Archive;
  readonly #report: LayerReportBuilder;
  readonly #decoder = new TarDecoder();
  /** What is wrong with each path that the tar has. */
  readonly #differences = new Map<string, readonly string[]>();
  #content: { readonly path: string; readonly check: ContentCheck } | undefined;
  #count = 0;
  #broken = false;

  constructor(archive: Archive, report: LayerReportBuilder) {
    this.#archive = archive;
    this.#report = report;
  }

  /** Entries of the tar that were compared. */
  get count(): number {
    return this.#count;
  }

  /** The next bytes of the tar. */
  push(bytes: Uint8Array): void {
    this.#decode(() => {
      for (const event of this.#decoder.push(bytes)) {
        if (event.kind === "entry") this.#enter(event.entry);
        else if (event.kind === "data") this.#content?.check.push(event.bytes);
      }
    });
  }

  /** The tar has ended. */
  finish(): void {
    this.#decode(() => {
      for (const event of this.#decoder.finish()) if (event.kind === "entry") this.#enter(event.entry);
    });
    this.#leave();
    for (const [path, differences] of this.#differences) {
      for (const difference of differences) this.#report.find("toc-equals-tar", path, difference);
    }
    if (this.#broken) return;
    for (const { path } of this.#archive.entries) {
      if (this.#differences.has(path)) continue;
      this.#report.find("toc-equals-tar", path, "the TOC has it, the tar does not");
    }
  }

  #decode(work: () => void): void {
    if (this.#broken) return;
    try {
      work();
    } catch (error) {
      if (!(error instanceof EsgzError)) throw error;
      this.#broken = true;
      this.#report.find("toc-equals-tar", `tar offset ${this.#decoder.position}`, messageOf(error));
    }
  }

  #enter(tar: TarEntry): void {
    this.#leave();
    const path = cleanPath(tar.name);
    if (OWN_FILES.has(path)) return;
    this.#count += 1;
    const toc = this.#archive.get(path);
    if (toc === undefined) {
      this.#differences.set(path, ["the tar has it, the TOC does not"]);
      return;
    }
    const differences = compareEntry(toc, tar);
    this.#differences.set(path, differences.length === 0 ? NO_DIFFERENCES : differences);
    if (tar.type === "reg" && toc.type === "reg" && tar.size === toc.size) {
      this.#content = { path, check: new ContentCheck(toc) };
    }
  }

  #leave(): void {
    const content = this.#content;
    this.#content = undefined;
    const found = content?.check.finish() ?? NO_DIFFERENCES;
    if (content === undefined || found.length === 0) return;
    const known = this.#differences.get(content.path) ?? NO_DIFFERENCES;
    this.#differences.set(content.path, [...known, ...found]);
  }
}
