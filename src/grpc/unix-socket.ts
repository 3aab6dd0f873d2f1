/**
 * Listening on a unix socket whose file an earlier process may have left behind.
 *
 * @module
 */
import { chmod, lstat, rm } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { makeDirectories } from "../files/index.ts";

/** `sun_path` of unix(7), without the zero at its end. */
const MAX_SOCKET_PATH_BYTES = 107;
const SOCKET_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** Where a server listens: a path, a descriptor that listens already (its owner keeps the file), or a server that does. */
export type ListenPlace = { readonly path: string } | { readonly fd: number } | { readonly server: Server };

/**
 * Starts listening on a path: makes its directory (for the owner alone), takes away a file that nobody listens on.
 * The socket is for its owner alone.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` if somebody listens there or the file is no socket; `PATH_INVALID` for a path that is
 * too long for a socket; `IO_FAILED`.
 */
export async function listenOnPath(server: Server, path: string): Promise<void> {
  const size = Buffer.byteLength(path);
  if (size > MAX_SOCKET_PATH_BYTES) {
    const text = `Cannot listen on "${path}": expected at most ${MAX_SOCKET_PATH_BYTES} bytes, got ${size}`;
    throw new EsgzError("PATH_INVALID", text);
  }
  try {
    await makeDirectories(dirname(path), { mode: DIRECTORY_MODE });
    await removeStaleSocket(path);
    await listening(server, { path });
    await chmod(path, SOCKET_MODE);
  } catch (cause) {
    if (cause instanceof EsgzError) throw cause;
    throw new EsgzError("IO_FAILED", `Cannot listen on "${path}": ${messageOf(cause)}`, { cause });
  }
}

/** Listens on a descriptor that somebody else has bound. */
export async function listenOnDescriptor(server: Server, fd: number): Promise<void> {
  try {
    await listening(server, { fd });
  } catch (cause) {
    throw new EsgzError("IO_FAILED", `Cannot listen on descriptor ${fd}: ${messageOf(cause)}`, { cause });
  }
}

async function listening(
  server: Server,
  place: { readonly path: string } | { readonly fd: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(place, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: unknown) => {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw occupied(path, "another file");
  if (await answers(path)) throw occupied(path, "a running server");
  await rm(path, { force: true });
}

function occupied(path: string, found: string): EsgzError {
  return new EsgzError("ALREADY_EXISTS", `Cannot listen on "${path}": expected a free path, got ${found}`);
}

async function answers(path: string): Promise<boolean> {
  return await new Promise<boolean>((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => {
      if (["ECONNREFUSED", "ENOENT"].includes(systemCodeOf(error) ?? "")) resolve(false);
      else reject(error);
    });
  });
}
