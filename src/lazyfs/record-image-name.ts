/**
 * The name of an image that was found by its digest.
 *
 * @module
 */
import type { Store } from "../store/index.ts";
import { pinnedDigest, type PreparedImage, recordedName } from "./prepared-image.ts";

/**
 * Records an image of the store under the name with a digest by which it was asked for, as if it had been fetched by it:
 * whoever may use the store may use all of it, and the digest says what it is. Where its bytes can be had stays what it was,
 * for nobody has asked the repository of that name.
 *
 * @returns the image under that name, in place of the one given; the same if the name pins nothing.
 * @throws {EsgzError} `STORE_INVALID`, `NO_SPACE`
 */
export function recordImageName(store: Store, image: PreparedImage, name: string): PreparedImage {
  const root = pinnedDigest(name);
  const wanted = recordedName(name);
  if (root === undefined || image.name === wanted) return image;
  const known = store
    .images()
    .find((record) => record.name === image.name && record.manifest === image.manifest);
  if (known === undefined) return image;
  store.setImage({ ...known, name: wanted, root });
  return { ...image, name: wanted, root };
}
