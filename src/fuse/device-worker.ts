/**
 * The program of a worker thread: loads a filesystem and serves it.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { EsgzError } from "../errors/index.ts";
import { runDeviceLoop } from "./device-loop.ts";
import type { Filesystem } from "./filesystem.ts";
import { FuseConnection } from "./fuse-connection.ts";
import { FuseDevice, writeMessage } from "./fuse-device.ts";
import { RequestHandler } from "./request-handler.ts";
import type { FilesystemModule, WorkerMessage, WorkerStart } from "./worker-start.ts";

const start = workerData as WorkerStart;

await serve();

async function serve(): Promise<void> {
  const { fd, wakeFd, stop, negotiated } = start;
  const filesystem = await loadFilesystem();
  const handler = new RequestHandler(filesystem, {
    negotiated,
    send: (parts) => void writeMessage(fd, parts),
    defer: start.hasDeferred ? (message) => tell({ kind: "deferred", message: message.slice() }) : undefined,
    onError: (error, request) => tell({ kind: "error", error: plainError(error), request }),
  });
  const device = new FuseDevice(fd, { maxWrite: negotiated.maxWrite, wakeFd });
  tell({ kind: "ready" });
  const outcome = await runDeviceLoop({ device, handler, isStopped: () => Atomics.load(stop, 0) === 1 });
  tell({ kind: "done", outcome });
  parentPort?.close();
}

async function loadFilesystem(): Promise<Filesystem> {
  const program = (await import(start.filesystem)) as Partial<FilesystemModule>;
  if (typeof program.createFilesystem !== "function") {
    throw new EsgzError(
      "CONFIGURATION_INVALID",
      `Cannot load filesystem "${start.filesystem}": expected an export createFilesystem, got none`,
    );
  }
  return await program.createFilesystem(start.data, new FuseConnection(start.fd, start.negotiated));
}

/** Classes and codes do not survive the way to another thread. */
function plainError(error: unknown): unknown {
  if (error instanceof EsgzError) return { code: error.code, message: error.message, details: error.details };
  if (!(error instanceof Error)) return String(error);
  const copy = new Error(error.message);
  if (error.stack !== undefined) copy.stack = error.stack;
  return copy;
}

function tell(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}
