/**
 * A tree with one of each kind of thing, for checks through the kernel. Node numbers follow from the tree, so any server
 * can go on where another one ended.
 */
import {
  createAttributes,
  DEFERRED,
  encodeDevice,
  ErrnoError,
  ROOT_NODE,
  type Attributes,
  type DirectoryEntry,
  type Filesystem,
  type FuseConnection,
  type NodeType,
} from "../../src/fuse/index.ts";
import { openSync, closeSync } from "node:fs";

/** What `createFilesystem` is given. */
export interface SampleOptions {
  /** `big` is read past the page cache. */
  readonly directIo?: boolean;
  /** A real file that the kernel reads by itself when `backed` is opened. */
  readonly backingFile?: string;
  /** `shared` has these bytes. */
  readonly shared?: SharedArrayBuffer;
  /** Reads of `shared` are counted in its first number. */
  readonly reads?: SharedArrayBuffer;
  /** Directories are listed with lookups. */
  readonly plus?: boolean;
  /** Reads of `big` at these offsets and behind are never answered. */
  readonly holdFrom?: number;
  /** Told when a read is held. */
  readonly onHold?: () => void;
}

/** How many files lie in `many`. */
export const MANY = 10_000;
/** In bytes. */
export const BIG_SIZE: number = 48 * 1024 * 1024;
const PERIOD = 1_000_003;

interface Item {
  readonly name: string;
  readonly type: NodeType;
  readonly attributes: Attributes;
  readonly content?: Uint8Array;
  readonly target?: string;
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
}

const TIME = { seconds: 1_700_000_000, nanoseconds: 123_456_789 };
const [FIRST_MANY, MANY_NODE] = [1000, 20];

/** The bytes of `big` from an offset on: no two blocks of it are the same. */
export function bigContent(offset: number, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size;) {
    const start = (offset + done) % PERIOD;
    const part = PATTERN.subarray(start, start + size - done);
    bytes.set(part, done);
    done += part.length;
  }
  return bytes;
}

const PATTERN: Uint8Array = Uint8Array.from({ length: PERIOD }, (_, index) => (index * 2_654_435_761) >>> 24);

const ITEMS: ReadonlyMap<number, Item> = new Map([
  [2, file("hello", { content: text("hello, world\n"), xattrs: new Map([["user.note", text("seen")]]) })],
  [3, file("empty", { content: new Uint8Array() })],
  [4, file("big", { size: BIG_SIZE })],
  [5, item("link", "symlink", { target: "hello", permissions: 0o777, size: 5 })],
  [6, item("null", "char", { rdev: encodeDevice(1, 3), permissions: 0o666 })],
  [7, item("pipe", "fifo", {})],
  [8, file("\udcff\udcfe", { content: text("bytes") })],
  [9, file("private", { content: text("secret"), permissions: 0o600 })],
  [10, file("waiting", { size: 4096 })],
  [11, file("shared", { size: 4096 })],
  [12, file("backed", { size: 4096 })],
  [13, file("broken", { size: 4096 })],
  [14, item("old", "reg", { mtime: { seconds: -1, nanoseconds: 5 } })],
  [15, item("s".repeat(255), "reg", {})],
  [MANY_NODE, item("many", "dir", {})],
]);

/** See `serveFuse()`. */
export function createFilesystem(data: unknown, connection: FuseConnection): Filesystem {
  const options = (data ?? {}) as SampleOptions;
  const root = createAttributes("dir", { inode: ROOT_NODE, nlink: 3, mtime: TIME });
  const kept = { generation: 0, entryTimeoutMs: Infinity, attributesTimeoutMs: Infinity };

  const attributesOf = (node: number): Attributes => {
    if (node === ROOT_NODE) return root;
    if (node >= FIRST_MANY) return createAttributes("reg", { inode: node, size: node - FIRST_MANY });
    const found = ITEMS.get(node)?.attributes ?? fail("ESTALE");
    return { ...found, inode: node };
  };
  const entryOf = (node: number): ReturnType<NonNullable<Filesystem["lookup"]>> => ({
    ...kept,
    node,
    attributes: attributesOf(node),
  });

  const read: NonNullable<Filesystem["read"]> = (node, { offset, size, buffer }) => {
    if (node === 13) throw new TypeError("a bug in a filesystem");
    if (node === 10) return DEFERRED;
    if (node === 4 && offset >= (options.holdFrom ?? Infinity)) {
      options.onHold?.();
      return new Promise(() => undefined);
    }
    if (node === 4) return copy(buffer, bigContent(offset, Math.max(0, Math.min(size, BIG_SIZE - offset))));
    if (node === 11) {
      if (options.reads !== undefined) Atomics.add(new Int32Array(options.reads), 0, 1);
      return new Uint8Array(options.shared ?? new SharedArrayBuffer(0)).slice(offset, offset + size);
    }
    if (node >= FIRST_MANY)
      return copy(buffer, new Uint8Array(Math.max(0, node - FIRST_MANY - offset)).slice(0, size));
    return (ITEMS.get(node)?.content ?? fail("EIO")).subarray(offset, offset + size);
  };

  return {
    getattr: (node) => ({ ...kept, attributes: attributesOf(node) }),
    lookup: (directory, name) => {
      const node = findName(directory, name);
      return node === undefined ? undefined : entryOf(node);
    },
    readlink: (node) => ITEMS.get(node)?.target ?? fail("EINVAL"),
    readdir: (node, { offset }) => list(node, offset),
    ...(options.plus === true
      ? {
          *readdirplus(node: number, { offset }: { readonly offset: number }) {
            for (const entry of list(node, offset)) {
              const isDot = entry.name === "." || entry.name === "..";
              yield {
                ...entry,
                entry: isDot
                  ? undefined
                  : { ...kept, node: entry.inode, attributes: attributesOf(entry.inode) },
              };
            }
          },
        }
      : {}),
    open: (node) => {
      // Reads by the page cache go on when their caller is interrupted: nobody would be told.
      if (node === 10 || (node === 4 && options.directIo === true)) return { directIo: true };
      if (node !== 12 || options.backingFile === undefined) return { keepCache: true, noFlush: true };
      const fd = openSync(options.backingFile, "r");
      try {
        return { backing: connection.openBacking(fd) };
      } finally {
        closeSync(fd);
      }
    },
    read,
    getxattr: (node, name) => ITEMS.get(node)?.xattrs?.get(name),
    listxattr: (node) => ITEMS.get(node)?.xattrs?.keys() ?? [],
    statfs: () => ({
      blocks: 1000,
      blocksFree: 1,
      blocksAvailable: 2,
      files: 10_015,
      filesFree: 3,
      blockSize: 4096,
      nameLimit: 255,
      fragmentSize: 4096,
    }),
  };
}

function findName(directory: number, name: string): number | undefined {
  if (directory === MANY_NODE) {
    const index = /^f([0-9]+)$/.exec(name)?.[1];
    return index === undefined || Number(index) >= MANY ? undefined : FIRST_MANY + Number(index);
  }
  for (const [node, { name: known }] of ITEMS) if (known === name) return node;
  return undefined;
}

function* list(node: number, offset: number): Generator<DirectoryEntry> {
  const names = node === MANY_NODE ? MANY : ITEMS.size;
  const nodes = [...ITEMS];
  for (let at = offset; at < names + 2; at += 1) {
    const next = { offset: at + 1 };
    if (at < 2)
      yield { ...next, name: at === 0 ? "." : "..", type: "dir", inode: at === 0 ? node : ROOT_NODE };
    else if (node === MANY_NODE)
      yield { ...next, name: `f${at - 2}`, type: "reg", inode: FIRST_MANY + at - 2 };
    else {
      const [inode, found] = nodes[at - 2] ?? fail("EIO");
      yield { ...next, name: found.name, type: found.type, inode };
    }
  }
}

function file(
  name: string,
  known: {
    readonly content?: Uint8Array;
    readonly size?: number;
    readonly permissions?: number;
    readonly xattrs?: ReadonlyMap<string, Uint8Array>;
  },
): Item {
  const { content, xattrs, ...fields } = known;
  const size = known.size ?? content?.length ?? 0;
  return {
    name,
    type: "reg",
    attributes: createAttributes("reg", { mtime: TIME, ...fields, size }),
    ...(content === undefined ? {} : { content }),
    ...(xattrs === undefined ? {} : { xattrs }),
  };
}

function item(
  name: string,
  type: NodeType,
  known: Parameters<typeof createAttributes>[1] & { readonly target?: string },
): Item {
  const { target, ...fields } = known;
  const attributes = createAttributes(type, { mtime: TIME, ...fields });
  return { name, type, attributes, ...(target === undefined ? {} : { target }) };
}

function copy(buffer: Uint8Array, bytes: Uint8Array): Uint8Array {
  buffer.set(bytes);
  return buffer.subarray(0, bytes.length);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function fail(errno: ConstructorParameters<typeof ErrnoError>[0]): never {
  throw new ErrnoError(errno);
}
