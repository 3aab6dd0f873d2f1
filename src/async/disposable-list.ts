/**
 * What is disposed of together.
 *
 * @module
 */

/**
 * Resources of one owner, who disposes of them with the list, the last first. An `AsyncDisposableStack` that the oldest Node that
 * is supported has, too.
 */
export class DisposableList implements AsyncDisposable {
  #resources: (AsyncDisposable | Disposable)[] = [];

  /** Adds a resource, which it gives back. */
  use<T extends AsyncDisposable | Disposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  /** Hands all resources over to another list: to be called when nothing can fail any more. */
  move(): DisposableList {
    const moved = new DisposableList();
    moved.#resources = this.#resources.splice(0);
    return moved;
  }

  /** Disposes of all, whatever fails; rejects with what failed first. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (const resource of this.#resources.splice(0).toReversed()) {
      try {
        if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
        else resource[Symbol.dispose]();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
