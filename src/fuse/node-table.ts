/**
 * Which nodes the kernel knows, for filesystems that give out numbers as they meet things.
 *
 * @module
 */
import { ROOT_NODE } from "./entry.ts";
import { ErrnoError } from "./errno.ts";

interface Row<T> {
  readonly value: T;
  readonly node: number;
  lookups: number;
}

/**
 * Numbers for values, with the count of lookups that the kernel holds. The root is there from the start and stays.
 *
 * Numbers are not used again, so the generation of entries can be 0. The table lives in memory: a server that has to
 * survive its own death needs numbers that follow from what they stand for.
 */
export class NodeTable<T> {
  readonly #byNode = new Map<number, Row<T>>();
  readonly #byValue = new Map<T, Row<T>>();
  #next: number = ROOT_NODE;

  /** Begins with the value of the root. Values are told apart as keys of a `Map` are. */
  constructor(root: T) {
    this.remember(root);
  }

  /** How many nodes are known, the root among them. */
  get size(): number {
    return this.#byNode.size;
  }

  /** The node of a value, made where there is none, and one lookup more: for the entries of `lookup` and `readdirplus`. */
  remember(value: T): number {
    const known = this.#byValue.get(value);
    if (known !== undefined) {
      known.lookups += 1;
      return known.node;
    }
    const row = { value, node: this.#next, lookups: 1 };
    this.#next += 1;
    this.#byNode.set(row.node, row);
    this.#byValue.set(value, row);
    return row.node;
  }

  /**
   * The value of a node.
   *
   * @throws {ErrnoError} ESTALE if the node is not known.
   */
  get(node: number): T {
    const row = this.#byNode.get(node);
    if (row === undefined) throw new ErrnoError("ESTALE");
    return row.value;
  }

  /** Takes lookups away; a node without any is dropped. */
  forget(node: number, lookups: number): void {
    const row = this.#byNode.get(node);
    if (row === undefined || node === ROOT_NODE) return;
    row.lookups -= lookups;
    if (row.lookups > 0) return;
    this.#byNode.delete(node);
    this.#byValue.delete(row.value);
  }
}
