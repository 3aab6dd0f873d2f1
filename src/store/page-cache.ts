/**
 * The pages of chunk tables that were read last.
 *
 * @module
 */

/** A bounded cache: what was not used for longest goes first. */
export class PageCache {
  readonly #capacity: number;
  readonly #pages = new Map<object, Map<number, DataView>>();
  readonly #order = new Map<DataView, { readonly owner: object; readonly page: number }>();

  /** @param capacity how many pages are kept. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The number of pages in it. */
  get size(): number {
    return this.#order.size;
  }

  /** A page, if it is in it; it counts as used now. */
  get(owner: object, page: number): DataView | undefined {
    const found = this.#pages.get(owner)?.get(page);
    const key = found === undefined ? undefined : this.#order.get(found);
    if (found === undefined || key === undefined) return undefined;
    this.#order.delete(found);
    this.#order.set(found, key);
    return found;
  }

  /** Keeps a page, in the place of another where it is full. */
  set(owner: object, page: number, view: DataView): void {
    const pages = this.#pages.get(owner) ?? new Map<number, DataView>();
    this.#pages.set(owner, pages);
    pages.set(page, view);
    this.#order.set(view, { owner, page });
    if (this.#order.size > this.#capacity) this.#dropOldest();
  }

  /** Drops all pages of an owner. */
  forget(owner: object): void {
    for (const view of this.#pages.get(owner)?.values() ?? []) this.#order.delete(view);
    this.#pages.delete(owner);
  }

  #dropOldest(): void {
    for (const [view, { owner, page }] of this.#order) {
      this.#order.delete(view);
      this.#pages.get(owner)?.delete(page);
      return;
    }
  }
}
