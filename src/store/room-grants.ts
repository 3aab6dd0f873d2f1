/** What room is granted for: data of layers that are there, or files of a layer in the making. */
export type GrantKind = "writing" | "staged";

/** Counts the bytes that were granted to who writes to a store. */
export class RoomGrants {
  /** Of grants that ended: these bytes may be on the disk by now. */
  endedBytes = 0;
  readonly #open: Record<GrantKind, { bytes: number; count: number }> = {
    writing: { bytes: 0, count: 0 },
    staged: { bytes: 0, count: 0 },
  };
  #ended = Promise.withResolvers<void>();

  /** Of grants that stand. */
  get openBytes(): number {
    return this.#open.writing.bytes + this.#open.staged.bytes;
  }

  /** Whether grants stand that end by themselves, soon. Those of layers in the making may wait for whoever asks. */
  get isWriting(): boolean {
    return this.#open.writing.count > 0;
  }

  /** When the next of these has ended. */
  get writingEnded(): Promise<void> {
    return this.#ended.promise;
  }

  /** Grants bytes until it is disposed of. */
  take(bytes: number, kind: GrantKind): Disposable {
    const open = this.#open[kind];
    open.bytes += bytes;
    open.count += 1;
    let isEnded = false;
    return {
      [Symbol.dispose]: () => {
        if (isEnded) return;
        isEnded = true;
        open.bytes -= bytes;
        open.count -= 1;
        this.endedBytes += bytes;
        if (kind === "writing") this.#sayEnded();
      },
    };
  }

  #sayEnded(): void {
    this.#ended.resolve();
    this.#ended = Promise.withResolvers();
  }
}
