/**
 * The tree as numbered inodes: checked, in the order in which they are written.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { checkNode } from "./check-node.ts";
import { chunkBitsOf, writeChunkIndexes } from "./chunk-map.ts";
import { CHUNK_BITS_MASK, CHUNK_INDEXES, SYMLINK_LIMIT } from "./disk-layout.ts";
import type { ErofsDirectory, ErofsNode } from "./erofs-node.ts";
import { type ImageMemory, type InodeContents, InodeList } from "./inode-list.ts";
import { MODE_BITS, TYPE_NUMBERS } from "./node-types.ts";
import { writeUint64 } from "./uint64.ts";

/** What is known of a tree beside it. */
export interface TreeFacts {
  /** The sizes of the devices, in blocks. */
  readonly deviceBlocks: readonly number[];
  /** The nodes that may have several names; whoever does not know has them found out. */
  readonly linked: ReadonlySet<ErofsNode> | undefined;
}

/** The inodes of a tree, and what is written of them. */
export class TreeInodes implements InodeContents {
  readonly list: InodeList = new InodeList();
  readonly #facts: TreeFacts;
  readonly #nodes: ErofsNode[] = [];
  /** The texts of symlinks. */
  readonly #targets = new Map<number, Uint8Array>();
  readonly #numbers = new Map<ErofsNode, number>();
  /** Directories whose children have no numbers yet: pairs of own and parent's number. */
  readonly #waiting: number[] = [];

  /**
   * Numbers all nodes of a tree. Nodes are told apart by identity: the same object under two names is a hard link.
   *
   * @throws {EsgzError} `EROFS_INVALID` for a directory that is reachable twice, for names that no directory can have, and
   * for nodes that no inode can hold.
   */
  constructor(root: ErofsDirectory, facts: TreeFacts) {
    this.#facts = facts;
    this.#numbers.set(root, this.#add(root, "/"));
    this.#waiting.push(0, 0);
    this.#run();
  }

  writeAttributes(inode: number, { view }: ImageMemory, offset: number): void {
    const node = this.#nodes[inode];
    if (node === undefined) return;
    const { mtime } = node;
    const typeBits = MODE_BITS[this.list.types[inode] ?? 0] ?? 0;
    view.setUint16(offset + 4, typeBits | node.mode, true);
    view.setUint32(offset + 24, node.uid, true);
    view.setUint32(offset + 28, node.gid, true);
    writeUint64(view, offset + 32, mtime.seconds);
    view.setUint32(offset + 40, mtime.nanoseconds, true);
  }

  writeBody(inode: number, { view, bytes }: ImageMemory, offset: number): void {
    const node = this.#nodes[inode];
    if (node?.type === "reg") {
      const bits = (this.list.fields[inode] ?? 0) & CHUNK_BITS_MASK;
      writeChunkIndexes(view, offset, { file: node, bits });
    } else {
      bytes.set(this.#targets.get(inode) ?? new Uint8Array(0), offset);
    }
  }

  // A stack and not recursion: a tree may be deeper than the call stack.
  #run(): void {
    for (;;) {
      const parent = this.#waiting.pop();
      const own = this.#waiting.pop();
      if (own === undefined || parent === undefined) return;
      const node = this.#nodes[own];
      if (node?.type === "dir") this.#collectChildren(node, own, parent);
    }
  }

  #collectChildren({ children }: ErofsDirectory, own: number, parent: number): void {
    const { list } = this;
    const first = list.entryCount;
    const firstWaiting = this.#waiting.length;
    for (const name of list.names.addSorted(children.keys())) {
      const child = children.get(name);
      if (child === undefined) list.addEntry(name === "." ? own : parent);
      else list.addEntry(this.#number(child, name, own));
    }
    this.list.setEntries(own, first);
    // The first subdirectory shall be the next one, so that the inodes lie in the order of a walk.
    reverseTail(this.#waiting, firstWaiting);
  }

  #number(child: ErofsNode, name: string, parent: number): number {
    const { linked } = this.#facts;
    const isAlone = linked !== undefined && (linked.size === 0 || !linked.has(child));
    const known = isAlone ? undefined : this.#numbers.get(child);
    const number = known ?? this.#add(child, name);
    if (known === undefined && !isAlone) this.#numbers.set(child, number);
    if (child.type !== "dir") {
      this.list.addLink(number);
      return number;
    }
    if (known !== undefined) throw reachableTwice();
    this.list.addLink(parent);
    // Reversed, because the caller reverses the whole tail.
    this.#waiting.push(parent, number);
    return number;
  }

  #add(node: ErofsNode, name: string): number {
    try {
      checkNode(node, this.#facts.deviceBlocks);
    } catch (cause) {
      const shown = JSON.stringify(name);
      throw new EsgzError(
        "EROFS_INVALID",
        `Cannot compile ${shown}: expected a node that an inode can hold`,
        {
          cause,
        },
      );
    }
    this.#nodes.push(node);
    const { type } = node;
    const isFile = type === "reg";
    return this.list.add({
      type: TYPE_NUMBERS[type].direntType,
      size: isFile ? node.size : type === "symlink" ? this.#encodeTarget(node.target) : 0,
      field: isFile ? chunkFormatOf(node) : type === "char" || type === "block" ? deviceNumber(node) : 0,
      xattrs: node.xattrs,
    });
  }

  #encodeTarget(target: string): number {
    const bytes = encodePathText(target);
    if (bytes.length === 0 || bytes.length > SYMLINK_LIMIT || bytes.includes(0)) {
      const text = `Cannot compile symlink: expected 1 to ${SYMLINK_LIMIT} bytes without a zero, got ${bytes.length} bytes`;
      throw new EsgzError("EROFS_INVALID", text);
    }
    this.#targets.set(this.list.count, bytes);
    return bytes.length;
  }
}

function chunkFormatOf(file: Extract<ErofsNode, { readonly type: "reg" }>): number {
  return file.size === 0 ? 0 : CHUNK_INDEXES | chunkBitsOf(file);
}

/** Linux's 32-bit form: the low 8 bits of the minor number, 12 of the major, the other 12 of the minor. */
function deviceNumber({ major, minor }: { readonly major: number; readonly minor: number }): number {
  return ((minor & 0xff) | (major << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}

function reverseTail(numbers: number[], from: number): void {
  for (let low = from, high = numbers.length - 1; low < high; low += 1, high -= 1) {
    const swapped = numbers[low] ?? 0;
    numbers[low] = numbers[high] ?? 0;
    numbers[high] = swapped;
  }
}

function reachableTwice(): EsgzError {
  return new EsgzError(
    "EROFS_INVALID",
    "Cannot compile tree: expected directories with one name each, got a directory that is reachable twice",
  );
}
