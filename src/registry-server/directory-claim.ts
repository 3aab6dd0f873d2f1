/**
 * One process per directory, without a file that a crash could leave behind.
 *
 * The claim is a listening socket in Linux's abstract namespace whose name is made from the directory's real path: the
 * kernel lets one process have it, and takes it back when that process ends, however it ends. Processes in other network
 * namespaces do not see it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { createServer } from "node:net";
import { EsgzError, systemCodeOf } from "../errors/index.ts";

/**
 * Claims a directory until disposed.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` while somebody else has it.
 */
export async function claimDirectory(directory: string): Promise<AsyncDisposable> {
  const key = createHash("sha256")
    .update(await realpath(directory))
    .digest("hex");
  const server = createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(`\0esgz-registry-${key}`, resolve);
    });
  } catch (cause) {
    if (systemCodeOf(cause) !== "EADDRINUSE") throw cause;
    throw new EsgzError(
      "ALREADY_EXISTS",
      `Cannot open registry "${directory}": expected a directory that no other registry serves, got one in use`,
      { cause },
    );
  }
  server.unref();
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}
