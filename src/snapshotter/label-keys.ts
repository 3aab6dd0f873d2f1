/**
 * The labels by which containerd, BuildKit, nerdctl and the CRI say what a snapshot is for.
 *
 * @module
 */

/** The name that a snapshot shall have: a chain id. On Prepare, the request to make it without unpacking. */
export const TARGET_LABEL = "containerd.io/snapshot.ref";

/** Set on remote snapshots; BuildKit recognizes lazy layers by it. */
export const REMOTE_LABEL = "containerd.io/snapshot/remote";

/** Its value; clients look at the key alone. */
export const REMOTE_LABEL_VALUE = "remote snapshot";

/** The digest of the layer's table of contents, from its descriptor's annotation. */
export const TOC_DIGEST_LABEL = "containerd.io/snapshot/stargz/toc.digest";

/** Where that and those of the layers above lie, as far as their writer said: the descriptor's annotation, too. */
export const TOC_PLACES_LABEL = "containerd.io/snapshot/esgz/toc.places";

/** Present if the client accepts content that cannot be verified. */
export const SKIP_VERIFY_LABEL = "containerd.io/snapshot/remote/stargz.skipverify";

/** Which users of a container are which of the machine: see `id-mapping.ts`. */
export const UID_MAPPING_LABEL = "containerd.io/snapshot/uidmapping";

/** The same of groups. */
export const GID_MAPPING_LABEL = "containerd.io/snapshot/gidmapping";

/** What a family of clients calls the same facts. */
export interface SourceLabels {
  readonly reference: string;
  readonly digest: string;
  readonly layers: string;
  readonly manifest?: string;
}

/** Asked in this order; a family counts if it has both reference and digest. */
export const SOURCE_LABELS: readonly SourceLabels[] = [
  {
    reference: "containerd.io/snapshot/cri.image-ref",
    digest: "containerd.io/snapshot/cri.layer-digest",
    layers: "containerd.io/snapshot/cri.image-layers",
    manifest: "containerd.io/snapshot/cri.manifest-digest",
  },
  {
    reference: "containerd.io/snapshot/remote/stargz.reference",
    digest: "containerd.io/snapshot/remote/stargz.digest",
    layers: "containerd.io/snapshot/remote/stargz.layers",
  },
];
