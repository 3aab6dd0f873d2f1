/**
 * How the holder's program is started.
 *
 * @module
 */
import { getCompileCacheDir } from "node:module";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** What keeps the holder small: it makes next to no garbage, and needs no threads. */
export const HOLDER_FLAGS: readonly string[] = [
  "--max-semi-space-size=1",
  "--max-old-space-size=48",
  "--v8-pool-size=0",
  "--disable-warning=ExperimentalWarning",
];

/** The path of the program. */
export function holderProgram(): string {
  return fileURLToPath(new URL(`./holder-program${extname(import.meta.url)}`, import.meta.url));
}

/** The variables of the program: what is compiled once is kept where this process keeps it, if it does. */
export function holderVariables(): NodeJS.ProcessEnv {
  const directory = getCompileCacheDir();
  return { ...(directory === undefined ? {} : { NODE_COMPILE_CACHE: directory }), ...process.env };
}
