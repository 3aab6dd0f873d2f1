/**
 * How the holder's program is started.
 *
 * @module
 */
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
