/**
 * Where the inodes of a merged image are from.
 *
 * @module
 */

/** The images and records of inodes, by number; which inode a record has become, where that will be asked. */
export class InodeOrigins {
  readonly #layers: number[] = [];
  readonly #records: number[] = [];
  /** By layer: inodes by record. */
  readonly #inodes: readonly Map<number, number>[];
  #keepsAll = false;

  constructor(layerCount: number) {
    this.#inodes = Array.from({ length: layerCount }, () => new Map<number, number>());
  }

  /** The image that an inode is from. */
  layerOf(inode: number): number {
    return this.#layers[inode] ?? 0;
  }

  /** Where its record is there, in bytes. */
  recordOf(inode: number): number {
    return this.#records[inode] ?? 0;
  }

  /** Notes the next inode. @param origin.isShared other names lead to the record, too */
  add({
    layer,
    record,
    isShared,
  }: {
    readonly layer: number;
    readonly record: number;
    readonly isShared: boolean;
  }): void {
    if (isShared || this.#keepsAll) this.#inodes[layer]?.set(record, this.#layers.length);
    this.#layers.push(layer);
    this.#records.push(record);
  }

  /** The inode that a record has become, if it was noted as shared. */
  find(layer: number, record: number): number | undefined {
    return this.#inodes[layer]?.get(record);
  }

  /** From now on any record may have other names, also those that were noted before: in other images, who knows. */
  keepAll(): void {
    if (this.#keepsAll) return;
    this.#keepsAll = true;
    for (const [inode, layer] of this.#layers.entries())
      this.#inodes[layer]?.set(this.recordOf(inode), inode);
  }

  /** Whether {@linkcode keepAll} was called. */
  get keepsAll(): boolean {
    return this.#keepsAll;
  }
}
