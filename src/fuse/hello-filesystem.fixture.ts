/**
 * A directory with one file, for tests of messages.
 */
import { createAttributes } from "./attributes.ts";
import type { Filesystem } from "./filesystem.ts";

const CONTENT = new TextEncoder().encode("hello, world\n");

/** The filesystem. */
export function createHelloFilesystem(): Filesystem {
  const root = createAttributes("dir", { inode: 1 });
  const hello = createAttributes("reg", { inode: 2, size: CONTENT.length });
  const once = { generation: 0, entryTimeoutMs: 0, attributesTimeoutMs: 0 };
  return {
    lookup: (_, name) => (name === "hello" ? { ...once, node: 2, attributes: hello } : undefined),
    getattr: (node) =>
      node === 1
        ? { attributesTimeoutMs: Infinity, attributes: root }
        : { attributesTimeoutMs: 0, attributes: hello },
    readdir: (_, { offset }) => [{ name: "hello", type: "reg", inode: 2, offset: 1 } as const].slice(offset),
    open: () => ({ directIo: true }),
    read: (_, { offset, size }) => CONTENT.subarray(offset, offset + size),
  };
}
