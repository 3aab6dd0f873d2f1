/**
 * Places of a store for mounts whose users name none.
 *
 * @module
 */
import { mkdir, rmdir } from "node:fs/promises";
import { join, sep } from "node:path";

/** The directory `roots` of a store, with one for each such mount. */
export class MountRoots {
  readonly #directory: string;

  /** @param store the directory of the store, absolute */
  constructor(store: string) {
    this.#directory = join(store, "roots");
  }

  /** Makes the place of a mount; a server that was killed may have left it. @throws what the system refuses */
  async make(id: string): Promise<string> {
    await mkdir(this.#directory, { recursive: true, mode: 0o711 });
    const place = join(this.#directory, id);
    await mkdir(place, { recursive: true });
    return place;
  }

  /** Removes a place, if it is one of these and nothing has come into it. */
  async remove(place: string): Promise<void> {
    if (place.startsWith(join(this.#directory, sep))) await rmdir(place).catch(() => undefined);
  }
}
