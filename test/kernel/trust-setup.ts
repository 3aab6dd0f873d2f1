/**
 * For tests: what readers of a mount get.
 */
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestStore } from "./daemon-setup.ts";

const run = promisify(execFile);
const MAX_FILE = 64 << 20;

/** What came of reading files. */
export interface Looked {
  /** Files that were read without an error, and are others than they should be. */
  readonly wrong: readonly string[];
  readonly right: number;
  readonly errors: number;
}

/** Reads a file by another process: one that waits for its own mount could not be ended. */
export async function readByCommand(path: string): Promise<Buffer> {
  const { stdout } = await run("cat", [path], { encoding: "buffer", maxBuffer: MAX_FILE });
  return stdout;
}

/** Reads files, and compares them with what they should be. */
export async function lookAt(directory: string, contents: ReadonlyMap<string, Buffer>): Promise<Looked> {
  const wrong: string[] = [];
  let [right, errors] = [0, 0];
  for (const [name, content] of contents) {
    try {
      if (content.equals(await readByCommand(join(directory, name)))) right += 1;
      else wrong.push(name);
    } catch {
      errors += 1;
    }
  }
  return { wrong, right, errors };
}

/** Writes a configuration beside a store. */
export function writeConfig(store: TestStore, text: string): string {
  const path = join(store.directory("etc"), "config.toml");
  writeFileSync(path, text);
  return path;
}
