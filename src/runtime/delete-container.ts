/**
 * What a runtime did not take away itself.
 *
 * @module
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { ContainerDirectory } from "./container-directory.ts";
import { startError } from "./runtime-error.ts";
import { messageOf } from "../errors/index.ts";

const run = promisify(execFile);

/**
 * Deletes a container that its runtime still knows: it was killed, or could not clean up.
 *
 * @throws {EsgzError} `RUNTIME_FAILED`
 */
export async function deleteContainer(
  directory: ContainerDirectory,
  { runtime, path }: { readonly runtime: string | undefined; readonly path: string },
): Promise<void> {
  if (runtime === undefined || !(await directory.hasState())) return;
  try {
    await run(runtime, ["--root", directory.state, "delete", "--force", directory.id], {
      env: { PATH: path },
    });
  } catch (cause) {
    throw startError(`left-overs: ${messageOf(cause).trim()}`, { cause });
  }
}
