/**
 * The tree as numbered inodes: checked, in the order in which they are written.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { NameList } from "./name-list.ts";
import type { ErofsDirectory, ErofsNode } from "./erofs-node.ts";

/**
 * Inodes by number: the root is 0, the inodes of one directory follow each other. A directory's entries, with `.` and
 * `..`, are consecutive in `names` and `entryInodes`, in the byte order of the names.
 */
export interface InodeList {
  readonly nodes: readonly ErofsNode[];
  /** The number of names, and for directories 2 + the number of subdirectories. */
  readonly linkCounts: readonly number[];
  /** The names of all entries of all directories. */
  readonly names: NameList;
  /** For each entry the number of its inode. */
  readonly entryInodes: readonly number[];
  /** For each inode that is a directory the first of its entries; -1 for others. */
  readonly firstEntries: readonly number[];
  /** For each inode that is a directory the number of its entries; 0 for others. */
  readonly entryCounts: readonly number[];
}

/**
 * Numbers all nodes of a tree. Nodes are told apart by identity: the same object under two names is a hard link.
 *
 * @throws {EsgzError} `EROFS_INVALID` for a directory that is reachable twice, and for names that no directory can have.
 */
export function collectInodes(root: ErofsDirectory): InodeList {
  const collector = new Collector(root);
  collector.run();
  return collector;
}

class Collector implements InodeList {
  readonly nodes: ErofsNode[] = [];
  readonly linkCounts: number[] = [];
  readonly names: NameList = new NameList();
  readonly entryInodes: number[] = [];
  readonly firstEntries: number[] = [];
  readonly entryCounts: number[] = [];
  readonly #numbers = new Map<ErofsNode, number>();
  /** Directories whose children have no numbers yet: pairs of own and parent's number. */
  readonly #waiting: number[] = [];

  constructor(root: ErofsDirectory) {
    this.#add(root);
    this.#waiting.push(0, 0);
  }

  // A stack and not recursion: a tree may be deeper than the call stack.
  run(): void {
    for (;;) {
      const parent = this.#waiting.pop();
      const own = this.#waiting.pop();
      if (own === undefined || parent === undefined) return;
      const node = this.nodes[own];
      if (node?.type === "dir") this.#collectChildren(node, own, parent);
    }
  }

  #collectChildren(directory: ErofsDirectory, own: number, parent: number): void {
    const first = this.entryInodes.length;
    const firstWaiting = this.#waiting.length;
    for (const name of this.names.addSorted(directory.children.keys())) {
      const child = directory.children.get(name);
      if (child === undefined) this.entryInodes.push(name === "." ? own : parent);
      else this.entryInodes.push(this.#number(child, own));
    }
    this.firstEntries[own] = first;
    this.entryCounts[own] = this.entryInodes.length - first;
    // The first subdirectory shall be the next one, so that the inodes lie in the order of a walk.
    reverseTail(this.#waiting, firstWaiting);
  }

  #number(child: ErofsNode, parent: number): number {
    const known = this.#numbers.get(child);
    if (child.type !== "dir") {
      const number = known ?? this.#add(child);
      this.linkCounts[number] = (this.linkCounts[number] ?? 0) + 1;
      return number;
    }
    if (known !== undefined) {
      const text =
        "Cannot compile tree: expected directories with one name each, got a directory that is reachable twice";
      throw new EsgzError("EROFS_INVALID", text);
    }
    const number = this.#add(child);
    this.linkCounts[parent] = (this.linkCounts[parent] ?? 0) + 1;
    // Reversed, because the caller reverses the whole tail.
    this.#waiting.push(parent, number);
    return number;
  }

  #add(node: ErofsNode): number {
    const number = this.nodes.length;
    this.nodes.push(node);
    this.#numbers.set(node, number);
    this.linkCounts.push(node.type === "dir" ? 2 : 0);
    this.firstEntries.push(-1);
    this.entryCounts.push(0);
    return number;
  }
}

function reverseTail(numbers: number[], from: number): void {
  for (let low = from, high = numbers.length - 1; low < high; low += 1, high -= 1) {
    const swapped = numbers[low] ?? 0;
    numbers[low] = numbers[high] ?? 0;
    numbers[high] = swapped;
  }
}
