/**
 * What a pull could not do on this machine or as this user, counted.
 *
 * @module
 */

/** Kinds of things that may be left out without making the pull fail. */
export type OmissionKind = "owner" | "xattr" | "device" | "mode" | "times";

/** A kind of omission: how often, and one case of it. */
export interface Omission {
  readonly what: OmissionKind;
  readonly count: number;
  /** One path that it concerns. */
  readonly example: string;
  /** The reason in that case. */
  readonly reason: string;
}

/** Collects omissions; lists of several workers add up. */
export class OmissionList {
  readonly #byKind = new Map<OmissionKind, Omission>();

  /** Counts one case. */
  add(what: OmissionKind, path: string, reason: string): void {
    this.merge([{ what, count: 1, example: path, reason }]);
  }

  /** Adds what another list counted. */
  merge(omissions: readonly Omission[]): void {
    for (const other of omissions) {
      const mine = this.#byKind.get(other.what);
      this.#byKind.set(other.what, mine === undefined ? other : { ...mine, count: mine.count + other.count });
    }
  }

  /** What was counted, one item per kind. */
  toArray(): Omission[] {
    return [...this.#byKind.values()];
  }
}
