/**
 * Makes directories.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { systemCodeOf } from "../errors/index.ts";

/** Makes a directory and those above it, as far as they are missing. Node's own recursion never ends where nothing can be made (`/proc`). */
export function makeDirectory(path: string): void {
  const missing: string[] = [];
  for (let place = path; !tryMake(place); place = dirname(place)) {
    if (dirname(place) === place) break;
    missing.push(place);
  }
  for (const place of missing.toReversed()) mkdirSync(place, { mode: 0o755 });
}

/** Whether the directory is there now; false if the one above is missing. */
function tryMake(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o755 });
    return true;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST") return true;
    if (code === "ENOENT" && !path.startsWith("/proc/")) return false;
    throw error;
  }
}
