/**
 * What happens while an image is prepared.
 *
 * @module
 */
import type { Digest, ImageConfig } from "../oci/index.ts";

/** Something that happened to an image that is being prepared. */
export type ImageEvent =
  /** The manifest of the platform is there; config and layers are next. */
  | { readonly kind: "manifest"; readonly manifest: Digest; readonly layers: number }
  /** A layer's metadata is there: of a lazy one as much as its table of contents tells, of another one all of it. */
  | { readonly kind: "layer"; readonly index: number; readonly layer: Digest; readonly lazy: boolean }
  /** The metadata of all layers is there, the lowest first; it has yet to be merged. */
  | { readonly kind: "layers"; readonly config: ImageConfig; readonly layers: readonly Digest[] }
  /** A layer cannot be lazy. `reason` is a clause that follows "because"; a mismatch is damage or tampering. */
  | {
      readonly kind: "layer-declined";
      readonly index: number;
      readonly layer: Digest;
      readonly reason: string;
      readonly mismatch: boolean;
    }
  /** So many bytes of a layer's blob have been read, which is read whole. */
  | { readonly kind: "layer-progress"; readonly layer: Digest; readonly bytes: number; readonly size: number }
  /** The merged metadata that the store had was damaged or of other layers, and was made again. */
  | { readonly kind: "merged"; readonly manifest: Digest };

/** Is told what happens. It must not throw. */
export type ImageObserver = (event: ImageEvent) => void;
