/**
 * The sample filesystem, which tells a port when it holds a read.
 */
import type { MessagePort } from "node:worker_threads";
import type { Filesystem, FuseConnection } from "../../src/fuse/index.ts";
import { createFilesystem as createSample, type SampleOptions } from "./sample-filesystem.ts";

/** See `serveFuse()`. */
export function createFilesystem(data: unknown, connection: FuseConnection): Filesystem {
  const { port, ...options } = data as SampleOptions & { readonly port: MessagePort };
  return createSample({ ...options, onHold: () => port.postMessage("holding") }, connection);
}
