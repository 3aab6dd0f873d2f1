/**
 * Brings what compilers and virtual machines start and read.
 *
 * @module
 */
import { endAll } from "./end-all.ts";
import type { ForeseenFiles } from "./foreseen-files.ts";
import type { ForeseenHeaders } from "./foreseen-headers.ts";
import { findModules, MODULES_HEADER_SIZE, readModulesHeader } from "./java-modules.ts";
import type { JavaModules, ToolStart } from "./tool-starts.ts";

/** Five times what the modules of a whole runtime have. */
const MAX_INDEX = 8 << 20;

/** How to bring it. */
export interface BringToolOptions {
  readonly files: ForeseenFiles;
  readonly headers: ForeseenHeaders;
  /** A path where the program would find it. */
  readonly absolute: (path: string) => string;
  /** Brings what starting a program reads. */
  readonly start: (program: string) => Promise<void>;
}

/** Resolves when all of it is there that could be found and brought. Rejects with the signal's reason only. */
export async function bringTool(tool: ToolStart, options: BringToolOptions): Promise<void> {
  const { starts, whole = [], modules, archives = [], files: small = [], sources } = tool;
  const { files, headers, absolute, start } = options;
  const each = (patterns: readonly string[], bring: (path: string) => Promise<void>): Promise<void>[] =>
    patterns.map(async (pattern) => await endAll((await files.match(pattern)).map(bring)));
  await endAll([
    ...each(starts, start),
    ...(sources === undefined ? [] : [headers.bringFor(sources, absolute)]),
    ...each(whole, async (path) => await files.bringWhole(path)),
    ...(modules === undefined ? [] : [bringModules(modules, files)]),
    ...archives.map(async (path) => await files.bringWhole(absolute(path))),
    ...each(small, async (path) => await files.bringPath(path, { guess: true })),
  ]);
}

/** Of a file that is no such container, or has a huge index, all. */
async function bringModules({ file: path, names }: JavaModules, files: ForeseenFiles): Promise<void> {
  const file = await files.find(path);
  if (file === undefined || !(await files.bring(file))) return;
  const header = readModulesHeader(await files.read(file, { offset: 0, size: MODULES_HEADER_SIZE }));
  if (header === undefined || header.indexSize > MAX_INDEX) {
    files.bringRest(file);
    return;
  }
  const index = await files.read(file, { offset: 0, size: header.indexSize });
  files.bringRest(file, await findModules(index, { header, names: new Set(names) }));
}
